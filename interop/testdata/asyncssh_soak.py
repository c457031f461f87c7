"""AsyncSSH for the soak, with every cipher and compression method.

server HOST_KEY AUTHORIZED_KEYS REKEY_BYTES  prints "listening on ADDRESS"; commands get back their input
client KEY                                   prints what it knows as JSON; then for each line of JSON with port, user,
                                             cipher, compression and rekey_bytes, sends the data given there and back
                                             and prints "ok" or "error: why"

REKEY_BYTES of 0 leaves it to the other side to ask for new keys.
"""

import asyncio
import json
import signal
import sys

import asyncssh
from asyncssh.compression import get_compression_algs
from asyncssh.encryption import get_encryption_algs

NEVER = 1 << 40


async def echo(process):
    while data := await process.stdin.read(65536):
        process.stdout.write(data)
        await process.stdout.drain()
    process.exit(0)


async def serve(host_key, authorized_keys, rekey_bytes):
    async with await asyncssh.listen(
        "127.0.0.1",
        0,
        server_host_keys=[host_key],
        authorized_client_keys=authorized_keys,
        process_factory=echo,
        encoding=None,
        encryption_algs="*",
        compression_algs="*",
        rekey_bytes=int(rekey_bytes) or NEVER,
    ) as listener:
        print("listening on 127.0.0.1:%d" % listener.get_port(), flush=True)
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        await stop.wait()


async def round_trip(job, key):
    data = bytes.fromhex(job["data"])
    async with asyncssh.connect(
        "127.0.0.1",
        job["port"],
        username=job["user"],
        client_keys=[key],
        known_hosts=None,
        agent_path=None,
        config=None,
        encryption_algs=[job["cipher"]],
        compression_algs=[job["compression"]],
        rekey_bytes=job["rekey_bytes"] or NEVER,
    ) as conn:
        result = await conn.run("cat", input=data, encoding=None, check=True)
        if result.stdout != data:
            raise ValueError("%d octets came back, not as they went" % len(result.stdout))


async def drive(key):
    names = lambda algs: [alg.decode("ascii") for alg in algs]
    print(json.dumps({"cipher": names(get_encryption_algs()), "compression": names(get_compression_algs())}), flush=True)
    for line in sys.stdin:
        try:
            await asyncio.wait_for(round_trip(json.loads(line), key), 20)
            answer = "ok"
        except Exception as e:
            answer = "error: %s: %s" % (type(e).__name__, str(e).replace("\n", " "))
        print(answer, flush=True)


asyncio.run(serve(*sys.argv[2:]) if sys.argv[1] == "server" else drive(*sys.argv[2:]))
