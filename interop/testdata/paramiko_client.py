"""Runs one job (JSON on stdin, see job_test.go) with Paramiko and prints the outcome as JSON."""

import json
import os
import socket
import sys

import paramiko
from paramiko.packet import Packetizer


class Transport(paramiko.Transport):
    """A transport that counts its key exchanges."""

    exchanges = 0

    def _activate_outbound(self):
        self.exchanges += 1
        return super()._activate_outbound()


def connect(job):
    if job.get("rekey_bytes"):
        Packetizer.REKEY_BYTES = job["rekey_bytes"]
    transport = Transport(socket.create_connection((job["host"], job["port"]), timeout=30))
    known = [line.split()[1] for line in job["host_keys"]]
    options = transport.get_security_options()
    algorithms = job["algorithms"]
    if algorithms.get("kex"):
        options.kex = (algorithms["kex"],)
    if algorithms.get("cipher"):
        options.ciphers = (algorithms["cipher"],)
    if algorithms.get("mac"):
        options.digests = (algorithms["mac"],)
    if algorithms.get("hostkey"):
        options.key_types = (algorithms["hostkey"],)
    transport.start_client(timeout=60)
    if transport.get_remote_server_key().get_base64() not in known:
        raise SystemExit("host key is not the known one")
    if job.get("password"):
        transport.auth_password(job["user"], job["password"], fallback=False)
    else:
        transport.auth_publickey(job["user"], paramiko.Ed25519Key.from_private_key_file(job["key"]))
    return transport


def copy(source, target, offset):
    source.seek(offset)
    target.seek(offset)
    while block := source.read(32768 * 8):
        target.write(block)


def run(transport, sftp, step, result):
    verb, local, remote, to = (step.get(k) for k in ("verb", "local", "remote", "to"))
    if verb == "list":
        result["listed"] += sftp.listdir(remote)
    elif verb == "put":
        sftp.put(local, remote)
    elif verb == "get":
        sftp.get(remote, local)
    elif verb == "putp":
        sftp.put(local, remote)
        st = os.stat(local)
        sftp.utime(remote, (st.st_atime, st.st_mtime))
    elif verb == "getp":
        sftp.get(remote, local)
        st = sftp.stat(remote)
        os.utime(local, (st.st_atime, st.st_mtime))
    elif verb == "reput":
        with open(local, "rb") as source, sftp.open(remote, "r+b") as target:
            target.set_pipelined(True)
            copy(source, target, sftp.stat(remote).st_size)
    elif verb == "reget":
        with sftp.open(remote, "rb") as source, open(local, "r+b") as target:
            copy(source, target, os.path.getsize(local))
    elif verb == "rename":
        sftp.rename(remote, to)
    elif verb == "rm":
        sftp.remove(remote)
    elif verb == "mkdir":
        sftp.mkdir(remote)
    elif verb == "rmdir":
        sftp.rmdir(remote)
    elif verb == "chmod":
        sftp.chmod(remote, step["mode"])
    elif verb == "symlink":
        sftp.symlink(to, remote)
    elif verb == "exec":
        channel = transport.open_session()
        channel.exec_command(step["command"])
        with open(local, "rb") if local else open(os.devnull, "rb") as source:
            data = source.read()
        # One thread cannot send and receive: the commands here read all of their input first or mirror it.
        import threading

        def send():
            channel.sendall(data)
            channel.shutdown_write()

        sender = threading.Thread(target=send)
        sender.start()
        with open(to, "wb") if to else open(os.devnull, "wb") as target:
            while block := channel.recv(65536):
                target.write(block)
        sender.join()
        result["status"] = channel.recv_exit_status()
    else:
        raise SystemExit("no verb " + verb)


def known():
    options = paramiko.Transport(socket.socketpair()[0]).get_security_options()
    return {
        "kex": options.kex,
        "hostkey": options.key_types,
        "cipher": options.ciphers,
        "mac": options.digests,
    }


def main():
    if sys.argv[1:] == ["--algorithms"]:
        json.dump(known(), sys.stdout)
        return
    # Paramiko reads ahead from a thread that notes a request only after it has sent it. A reply that comes first makes
    # the reading thread spin until Python takes the lock from it: by default 5 ms for each of them, 5 MB/s and in effect
    # one request at a time.
    sys.setswitchinterval(0.0001)
    job = json.load(sys.stdin)
    result = {"listed": [], "rekeys": 0, "status": 0}
    transport = connect(job)
    sftp = None
    if any(step["verb"] != "exec" for step in job["steps"] or []):
        sftp = paramiko.SFTPClient.from_transport(transport)
    for step in job["steps"] or []:
        run(transport, sftp, step, result)
    result["rekeys"] = max(0, transport.exchanges - 1)
    if sftp:
        sftp.close()
    transport.close()
    json.dump(result, sys.stdout)


main()
