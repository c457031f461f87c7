"""AsyncSSH's server: HOST_KEY AUTHORIZED_KEYS; every command is answered with its own standard input."""

import asyncio
import signal
import sys

import asyncssh


async def echo(process):
    while data := await process.stdin.read(65536):
        process.stdout.write(data)
        await process.stdout.drain()
    process.exit(0)


async def main():
    host_key, authorized_keys = sys.argv[1:]
    async with await asyncssh.listen(
        "127.0.0.1",
        0,
        server_host_keys=[host_key],
        authorized_client_keys=authorized_keys,
        process_factory=echo,
        encoding=None,
        mac_algs="+hmac-sha1,hmac-sha1-etm@openssh.com",
    ) as listener:
        print("listening on 127.0.0.1:%d" % listener.get_port(), flush=True)
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        await stop.wait()


asyncio.run(main())
