"""AsyncSSH with everything it can do switched on.

server HOST_KEY...  prints "listening on ADDRESS"; commands get back their input
client              reads a port per line, sends 128 KiB there and back, and prints "ok" or "error: why" for each
"""

import asyncio
import os
import signal
import sys

import asyncssh

EVERYTHING = dict(
    kex_algs="*",
    encryption_algs="*",
    mac_algs="*",
    compression_algs="*",
    signature_algs="*",
)


async def echo(process):
    while data := await process.stdin.read(65536):
        process.stdout.write(data)
        await process.stdout.drain()
    process.exit(0)


class Anybody(asyncssh.SSHServer):
    def begin_auth(self, username):
        return True

    def password_auth_supported(self):
        return True

    def validate_password(self, username, password):
        return True


async def serve(keys):
    async with await asyncssh.listen(
        "127.0.0.1", 0, server_host_keys=keys, server_factory=Anybody, process_factory=echo, encoding=None, **EVERYTHING
    ) as listener:
        print("listening on 127.0.0.1:%d" % listener.get_port(), flush=True)
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        await stop.wait()


async def round_trip(port, data):
    async with asyncssh.connect(
        "127.0.0.1",
        port,
        username="interop",
        password="any",
        known_hosts=None,
        server_host_key_algs="*",
        client_keys=None,
        agent_path=None,
        config=None,
        **EVERYTHING,
    ) as conn:
        result = await conn.run("echo", input=data, encoding=None, check=True)
        if result.stdout != data:
            raise ValueError("%d octets came back, not as they went" % len(result.stdout))


async def drive():
    data = b"x" * (64 << 10) + os.urandom(64 << 10)
    for line in sys.stdin:
        try:
            await asyncio.wait_for(round_trip(int(line), data), 20)
            answer = "ok"
        except Exception as e:
            answer = "error: %s: %s" % (type(e).__name__, str(e).replace("\n", " "))
        print(answer, flush=True)


asyncio.run(serve(sys.argv[2:]) if sys.argv[1] == "server" else drive())
