"""AsyncSSH's SFTP in versions 3 to 6.

    asyncssh_sftp.py client                      takes one operation per line (see sftpop_test.go) and answers each
    asyncssh_sftp.py server ROOT KEY USER PASSWORD   serves ROOT as "/" in the version that the client asks for
"""

import asyncio
import concurrent.futures.thread  # noqa: F401, as grp: later they could not be read, see server
import grp  # noqa: F401
import os
import signal
import sys
import urllib.parse

import asyncssh
from asyncssh import sftp as s
from asyncssh.constants import FXF_TEXT

BLOCK = 1 << 20


class NotApplicable(Exception):
    pass


def attributes(a):
    pairs = [("type", a.type)]
    for name in ("size", "uid", "gid", "owner", "group", "atime", "atime_ns", "mtime", "mtime_ns", "nlink"):
        value = getattr(a, name)
        if value is not None:
            pairs.append((name, value))
    if a.permissions is not None:
        pairs.append(("mode", a.permissions & 0o7777))
    return pairs


class Driver:
    conn = None
    sftp = None

    async def connect(self, o):
        self.conn = await asyncssh.connect(
            o["host"],
            int(o["port"]),
            username=o["user"],
            password=o["password"],
            client_keys=None,
            preferred_auth="password",
            known_hosts=o["known_hosts"],
            config=None,
            agent_path=None,
            login_timeout=60,
            mac_algs="+hmac-sha1",
        )
        self.sftp = await self.conn.start_sftp_client(sftp_version=int(o["version"]))
        return [("n", self.sftp.version)]

    async def close(self, o):
        if self.conn:
            self.sftp.exit()
            self.conn.close()
            await self.conn.wait_closed()
        self.conn = self.sftp = None

    async def list(self, o):
        entries = [e for e in await self.sftp.readdir(o["path"]) if e.filename not in (".", "..")]
        return [("name", e.filename) for e in entries] + [("n", e.attrs.type) for e in entries]

    async def stat(self, o):
        return attributes(await self.sftp.stat(o["path"], flags=s._valid_attr_flags[self.sftp.version]))

    async def lstat(self, o):
        return attributes(await self.sftp.lstat(o["path"], flags=s._valid_attr_flags[self.sftp.version]))

    async def fstat(self, o):
        async with self.sftp.open(o["path"], "rb") as f:
            return attributes(await f.stat(flags=s._valid_attr_flags[self.sftp.version]))

    async def put(self, o):
        if o.get("text"):
            return await self.text(o, asyncssh.FXF_WRITE | asyncssh.FXF_CREAT | asyncssh.FXF_TRUNC)
        await self.sftp.put(o["local"], o["path"])

    async def get(self, o):
        if o.get("text"):
            return await self.text(o, asyncssh.FXF_READ)
        await self.sftp.get(o["path"], o["local"])

    async def text(self, o, pflags):
        if self.sftp.version == 3:
            raise NotApplicable("version 3 has no text mode")
        if self.sftp.version > 4:
            raise NotApplicable("AsyncSSH has no text mode from version 5 on, says its documentation of open56")
        async with self.sftp.open(o["path"], pflags | FXF_TEXT, encoding=None) as f:
            if pflags & asyncssh.FXF_READ:
                data = b""
                while block := await f.read(BLOCK, len(data)):
                    data += block
                with open(o["local"], "wb") as target:
                    target.write(data)
            else:
                with open(o["local"], "rb") as source:
                    await f.write(source.read())

    async def reput(self, o):
        offset = await self.sftp.getsize(o["path"])
        with open(o["local"], "rb") as source:
            source.seek(offset)
            async with self.sftp.open(o["path"], "r+b") as target:
                while block := source.read(BLOCK):
                    await target.write(block, offset)
                    offset += len(block)

    async def reget(self, o):
        with open(o["local"], "r+b") as target:
            offset = target.seek(0, os.SEEK_END)
            async with self.sftp.open(o["path"], "rb") as source:
                while block := await source.read(BLOCK, offset):
                    target.write(block)
                    offset += len(block)

    async def append(self, o):
        with open(o["local"], "rb") as source:
            async with self.sftp.open(o["path"], "ab") as target:
                await target.write(source.read())

    async def create(self, o):
        async with self.sftp.open(o["path"], "xb") as f:
            await f.write(b"new")

    async def rename(self, o):
        await self.sftp.rename(o["path"], o["to"], asyncssh.FXR_OVERWRITE if o.get("overwrite") else 0)

    async def symlink(self, o):
        await self.sftp.symlink(o["to"], o["path"])

    async def readlink(self, o):
        return [("text", await self.sftp.readlink(o["path"]))]

    async def link(self, o):
        await self.sftp.link(o["to"], o["path"])

    async def mkdir(self, o):
        await self.sftp.mkdir(o["path"], asyncssh.SFTPAttrs(permissions=int(o["mode"])))

    async def rmdir(self, o):
        await self.sftp.rmdir(o["path"])

    async def remove(self, o):
        await self.sftp.remove(o["path"])

    async def chmod(self, o):
        await self.sftp.chmod(o["path"], int(o["mode"]))

    async def chown(self, o):
        if self.sftp.version == 3:
            await self.sftp.chown(o["path"], int(o["uid"]), int(o["gid"]))
        else:
            await self.sftp.chown(o["path"], o["owner"], o["group"])

    async def utimes(self, o):
        await self.sftp.utime(
            o["path"],
            ns=(
                int(o["atime"]) * 10**9 + int(o["atime_ns"]),
                int(o["mtime"]) * 10**9 + int(o["mtime_ns"]),
            ),
        )

    async def truncate(self, o):
        await self.sftp.truncate(o["path"], int(o["size"]))

    async def realpath(self, o):
        return [("text", await self.sftp.realpath(o["path"]))]

    async def composed(self, o):
        if self.sftp.version < 6:
            raise NotApplicable("composed paths came with version 6")
        parts = o["to"].split("|")
        return [("text", await self.sftp.realpath(o["path"], *parts))]

    async def lock(self, o):
        f = await self.sftp.open(o["path"], "r+b")
        codes = []

        async def code(call):
            try:
                await call
                codes.append(("n", 0))
            except asyncssh.SFTPError as e:
                if e.code == s.FX_OP_UNSUPPORTED and self.sftp.version < 6:
                    raise NotApplicable("byte-range locks came with version 6")
                codes.append(("n", e.code))

        mask = asyncssh.FXF_BLOCK_WRITE | asyncssh.FXF_BLOCK_ADVISORY
        async with f:
            await code(f.lock(100, 50, mask))
            await code(f.lock(120, 10, mask))
            await code(f.unlock(100, 49))
            await code(f.unlock(100, 50))
        return codes

    async def hash(self, o):
        raise NotApplicable("AsyncSSH has no check-file")

    async def md5(self, o):
        raise NotApplicable("AsyncSSH has no md5-hash")

    async def copyfile(self, o):
        raise NotApplicable("AsyncSSH has no copy-file")

    async def copydata(self, o):
        if not self.sftp.supports_remote_copy:
            raise NotApplicable("the server announces no copy-data")
        await self.sftp.remote_copy(o["path"], o["to"], int(o["offset"]), int(o["length"]), int(o["at"]))

    async def space(self, o):
        raise NotApplicable("AsyncSSH has no space-available")

    async def statvfs(self, o):
        v = await self.sftp.statvfs(o["path"])
        return [("n", n) for n in (v.bsize, v.frsize, v.blocks, v.bfree, v.bavail)]

    async def limits(self, o):
        v = self.sftp.limits
        return [("n", n) for n in (v.max_packet_len, v.max_read_len, v.max_write_len, v.max_open_handles)]

    async def fsync(self, o):
        async with self.sftp.open(o["path"], "r+b") as f:
            await f.fsync()

    async def posixrename(self, o):
        await self.sftp.posix_rename(o["path"], o["to"])

    async def home(self, o):
        raise NotApplicable("AsyncSSH has no home-directory")

    async def expand(self, o):
        raise NotApplicable("AsyncSSH has no expand-path")


async def client():
    driver = Driver()
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        o = dict(urllib.parse.parse_qsl(line.rstrip("\n"), keep_blank_values=True))
        try:
            answer = await getattr(driver, o["verb"])(o) or []
        except NotApplicable as e:
            answer = [("na", e)]
        except asyncssh.SFTPError as e:
            answer = [("code", e.code), ("error", e.reason)]
            if e.code == s.FX_OP_UNSUPPORTED and "not supported" in e.reason:
                answer.append(("unsupported", 1))
        except Exception as e:
            answer = [("code", -1), ("error", "%s: %s" % (type(e).__name__, e))]
        print(urllib.parse.urlencode(answer), flush=True)


class Password(asyncssh.SSHServer):
    user = password = ""

    def begin_auth(self, username):
        return True

    def password_auth_supported(self):
        return True

    def validate_password(self, username, password):
        return (username, password) == (self.user, self.password)


async def server(root, key, user, password):
    Password.user, Password.password = user, password

    def files(chan):
        return asyncssh.SFTPServer(chan, chroot=os.fsencode(root))

    async with await asyncssh.listen(
        "127.0.0.1", 0, server_factory=Password, server_host_keys=[key], sftp_factory=files, sftp_version=6
    ) as listener:
        # Python's and AsyncSSH's files may be root's alone: from here on they are all read.
        if os.getuid() == 0:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
        print("listening on 127.0.0.1:%d" % listener.get_port(), flush=True)
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        await stop.wait()


if sys.argv[1] == "client":
    asyncio.run(client())
else:
    asyncio.run(server(*sys.argv[2:]))
