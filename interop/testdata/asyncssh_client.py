"""Runs one job (JSON on stdin, see job_test.go) with AsyncSSH and prints the outcome as JSON."""

import asyncio
import json
import os
import sys

import asyncssh
from asyncssh.connection import SSHConnection

exchanges = 0
send_newkeys = SSHConnection.send_newkeys


def counting_send_newkeys(self, *args, **kwargs):
    global exchanges
    exchanges += 1
    return send_newkeys(self, *args, **kwargs)


SSHConnection.send_newkeys = counting_send_newkeys

BLOCK = 1 << 20


def options(job):
    algorithms = job["algorithms"]
    chosen = {
        "host": job["host"],
        "port": job["port"],
        "username": job["user"],
        "known_hosts": job["known_hosts"],
        "config": None,
        "agent_path": None,
        "login_timeout": 60,
    }
    if job.get("password"):
        chosen.update(password=job["password"], client_keys=None, preferred_auth="password")
    else:
        chosen.update(client_keys=[job["key"]], preferred_auth="publickey")
    for name, option in (
        ("kex", "kex_algs"),
        ("hostkey", "server_host_key_algs"),
        ("cipher", "encryption_algs"),
        ("mac", "mac_algs"),
    ):
        if algorithms.get(name):
            chosen[option] = [algorithms[name]]
    if job.get("rekey_bytes"):
        chosen["rekey_bytes"] = job["rekey_bytes"]
    return chosen


async def execute(conn, command, local, to):
    """By hand: conn.run with a redirected stdin fails if the command ends before the redirection is in place."""
    process = await conn.create_process(command, stderr=asyncssh.DEVNULL, encoding=None)

    async def feed():
        try:
            if local:
                with open(local, "rb") as source:
                    while block := source.read(BLOCK):
                        process.stdin.write(block)
                        await process.stdin.drain()
            process.stdin.write_eof()
        except (BrokenPipeError, ConnectionError):
            pass  # the command has left without reading all

    feeding = asyncio.create_task(feed())
    output = await process.stdout.read()
    await process.wait_closed()
    await feeding
    if to:
        with open(to, "wb") as target:
            target.write(output)
    return process.exit_status


async def run(conn, sftp, step, result):
    verb, local, remote, to = (step.get(k) for k in ("verb", "local", "remote", "to"))
    if verb == "list":
        result["listed"] += await sftp.listdir(remote)
    elif verb in ("put", "putp"):
        await sftp.put(local, remote, preserve=verb == "putp")
    elif verb in ("get", "getp"):
        await sftp.get(remote, local, preserve=verb == "getp")
    elif verb == "reput":
        offset = await sftp.getsize(remote)
        with open(local, "rb") as source:
            source.seek(offset)
            async with sftp.open(remote, "r+b") as target:
                while block := source.read(BLOCK):
                    await target.write(block, offset)
                    offset += len(block)
    elif verb == "reget":
        with open(local, "r+b") as target:
            offset = target.seek(0, os.SEEK_END)
            async with sftp.open(remote, "rb") as source:
                while block := await source.read(BLOCK, offset):
                    target.write(block)
                    offset += len(block)
    elif verb == "rename":
        await sftp.rename(remote, to)
    elif verb == "rm":
        await sftp.remove(remote)
    elif verb == "mkdir":
        await sftp.mkdir(remote)
    elif verb == "rmdir":
        await sftp.rmdir(remote)
    elif verb == "chmod":
        await sftp.chmod(remote, step["mode"])
    elif verb == "symlink":
        await sftp.symlink(to, remote)
    elif verb == "exec":
        result["status"] = await execute(conn, step["command"], local, to)
    else:
        raise SystemExit("no verb " + verb)


def known():
    from asyncssh import encryption, kex, mac, public_key

    keys = public_key.get_public_key_algs() + public_key.get_certificate_algs()
    return {
        "kex": [name.decode() for name in kex.get_kex_algs()],
        "hostkey": [name.decode() for name in keys],
        "cipher": [name.decode() for name in encryption.get_encryption_algs()],
        "mac": [name.decode() for name in mac.get_mac_algs()],
    }


async def main():
    if sys.argv[1:] == ["--algorithms"]:
        json.dump(known(), sys.stdout)
        return
    job = json.load(sys.stdin)
    result = {"listed": [], "rekeys": 0, "status": 0}
    async with asyncssh.connect(**options(job)) as conn:
        sftp = None
        if any(step["verb"] != "exec" for step in job["steps"] or []):
            sftp = await conn.start_sftp_client()
        for step in job["steps"] or []:
            await run(conn, sftp, step, result)
        result["rekeys"] = max(0, exchanges - 1)
        if sftp:
            sftp.exit()
    json.dump(result, sys.stdout)


asyncio.run(main())
