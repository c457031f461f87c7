"""Twisted Conch.

    twisted_peer.py matrix client             with everything it can do switched on: reads a port per line, sends 128 KiB
                                              there and back, and prints "ok" or "error: why" for each
    twisted_peer.py matrix server HOST_KEY... the same as a server: prints "listening on ADDRESS"; commands get back
                                              their input
    twisted_peer.py sftp client               takes one operation per line (see sftpop_test.go) and answers each
    twisted_peer.py sftp server ROOT HOST_KEY USER PASSWORD
                                              serves the system's files to USER, whose home is ROOT, and forwards ports
"""

import asyncio
import encodings.idna  # noqa: F401, later it could not be read, see serve
import os
import struct
import sys
import urllib.parse

from twisted.internet import asyncioreactor

asyncioreactor.install(asyncio.new_event_loop())

from twisted.conch import avatar, error, unix  # noqa: E402
from twisted.conch.client.knownhosts import KnownHostsFile  # noqa: E402
from twisted.conch.interfaces import ISession  # noqa: E402
from twisted.conch.ssh import channel, common, connection, factory, filetransfer, forwarding, keys, session  # noqa: E402
from twisted.conch.ssh import transport as t  # noqa: E402
from twisted.conch.ssh import userauth  # noqa: E402
from twisted.cred import checkers, credentials, portal  # noqa: E402
from twisted.internet import defer, endpoints, reactor, task, threads  # noqa: E402
from twisted.python import components, filepath  # noqa: E402
from zope.interface import implementer  # noqa: E402

LIMIT = 20


# The client


class ClientTransport(t.SSHClientTransport):
    """known is a KnownHostsFile, or None for any host key."""

    supportedCompressions = [b"none", b"zlib"]

    def __init__(self, user, password, known=None, host=None):
        self.user, self.password, self.known, self.host = user, password, known, host
        self.ready = defer.Deferred()
        self.gone = defer.Deferred()

    def verifyHostKey(self, blob, fingerprint):
        if self.known is None or self.known.hasHostKey(self.host, keys.Key.fromString(blob)):
            return defer.succeed(True)
        return defer.fail(error.ConchError("host key is not the known one"))

    def connectionSecure(self):
        outer = self

        class Connection(connection.SSHConnection):
            def serviceStarted(self):
                super().serviceStarted()
                outer.ready.callback(self)

        class Auth(userauth.SSHUserAuthClient):
            preferredOrder = [b"password", b"none"]

            def getPassword(self, prompt=None):
                password, outer.password = outer.password, None
                return defer.succeed(password.encode()) if password else None

        self.requestService(Auth(self.user.encode(), Connection()))

    def fail(self, reason):
        if not self.ready.called:
            self.ready.errback(reason)

    def receiveError(self, code, description):
        self.fail(error.ConchError("disconnected: %s" % description.decode(), code))

    def sendDisconnect(self, code, description):
        self.fail(error.ConchError("disconnects: %s" % description.decode(), code))
        super().sendDisconnect(code, description)

    def connectionLost(self, reason):
        super().connectionLost(reason)
        self.fail(reason)
        self.gone.callback(None)


async def connect(address, port, *args, **more):
    endpoint = endpoints.TCP4ClientEndpoint(reactor, address, port)
    trans = await endpoints.connectProtocol(endpoint, ClientTransport(*args, **more))
    return trans, await trans.ready


class Command(channel.SSHChannel):
    name = b"session"

    def __init__(self, command, data, **kw):
        super().__init__(**kw)
        self.command, self.data, self.back, self.status = command, data, [], None
        self.done = defer.Deferred()

    def openFailed(self, reason):
        self.done.errback(reason)

    def channelOpen(self, _):
        d = self.conn.sendRequest(self, "exec", common.NS(self.command), wantReply=1)
        d.addCallbacks(self.started, self.done.errback)

    def started(self, _):
        self.write(self.data)
        self.conn.sendEOF(self)

    def dataReceived(self, data):
        self.back.append(data)

    def request_exit_status(self, data):
        self.status = struct.unpack(">L", data)[0]

    def closed(self):
        if not self.done.called:
            self.done.callback(b"".join(self.back))


async def round_trip(port, data):
    trans, conn = await connect("127.0.0.1", port, "interop", "any")
    try:
        command = Command(b"echo", data, conn=conn)
        conn.openChannel(command)
        back = await command.done
        if back != data or command.status != 0:
            raise ValueError("%d octets came back, not as they went, status %s" % (len(back), command.status))
    finally:
        trans.loseConnection()
        await trans.gone


async def lines():
    while line := await threads.deferToThread(sys.stdin.readline):
        yield line.rstrip("\n")


async def matrix_client():
    data = b"x" * (64 << 10) + os.urandom(64 << 10)
    async for line in lines():
        try:
            await defer.ensureDeferred(round_trip(int(line), data)).addTimeout(LIMIT, reactor)
            answer = "ok"
        except BaseException as e:
            answer = "error: %s: %s" % (type(e).__name__, str(e).replace("\n", " "))
        print(answer, flush=True)


# The server


class Echo(channel.SSHChannel):
    def request_exec(self, data):
        return True

    def dataReceived(self, data):
        self.write(data)

    def eofReceived(self):
        self.conn.sendEOF(self)
        self.conn.sendRequest(self, "exit-status", struct.pack(">L", 0))
        self.loseConnection()


class User(avatar.ConchUser):
    """What UnixConchUser has, for a user that the system does not know."""

    global_tcpip_forward = unix.UnixConchUser.global_tcpip_forward
    global_cancel_tcpip_forward = unix.UnixConchUser.global_cancel_tcpip_forward

    def __init__(self, root):
        super().__init__()
        self.root, self.listeners = root, {}
        self.channelLookup[b"session"] = session.SSHSession if root else Echo
        self.channelLookup[b"direct-tcpip"] = forwarding.openConnectForwardingClient
        if root:
            self.subsystemLookup[b"sftp"] = filetransfer.FileTransferServer

    def getHomeDir(self):
        return filepath.FilePath(self.root)

    def _runAsUser(self, f, *args, **kw):
        result = None
        for call in [(f, args, kw)] if callable(f) else f:
            result = call[0](*call[1], **(call[2] if len(call) > 2 else {}))
        return result

    def logout(self):
        for listener in self.listeners.values():
            listener.stopListening()


components.registerAdapter(unix.SFTPServerForUnixConchUser, User, filetransfer.ISFTPServer)


@implementer(ISession)
class NoSession:
    def __init__(self, user):
        pass

    def closed(self):
        pass

    def eofReceived(self):
        pass


components.registerAdapter(NoSession, User, ISession)


@implementer(portal.IRealm)
class Realm:
    def __init__(self, root):
        self.root = root

    def requestAvatar(self, name, mind, *interfaces):
        user = User(self.root)
        return interfaces[0], user, user.logout


@implementer(checkers.ICredentialsChecker)
class Anybody:
    credentialInterfaces = (credentials.IUsernamePassword,)

    def requestAvatarId(self, c):
        return defer.succeed(c.username)


class Factory(factory.SSHFactory):
    def __init__(self, files, root, checker):
        self.portal = portal.Portal(Realm(root), [checker])
        self.privateKeys = {}
        for file in files:
            key = keys.Key.fromFile(file)
            self.privateKeys[key.sshType()] = key
        self.publicKeys = {name: key.public() for name, key in self.privateKeys.items()}

    def getPrimes(self):
        from twisted.conch.openssh_compat import primes

        # No large ones: it counts with Python's numbers.
        return {bits: p for bits, p in primes.parseModuliFile("/etc/ssh/moduli").items() if bits <= 3072}


async def serve(files, root, checker):
    port = await endpoints.TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(Factory(files, root, checker))
    # Python's files may be root's alone: from here on they are all read.
    if root and os.getuid() == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
    print("listening on 127.0.0.1:%d" % port.getHost().port, flush=True)
    await defer.Deferred()


# The SFTP client


class NotApplicable(Exception):
    pass


class Subsystem(channel.SSHChannel):
    name = b"session"

    def __init__(self, **kw):
        super().__init__(**kw)
        self.ready = defer.Deferred()
        self.sftp = None

    def openFailed(self, reason):
        self.ready.errback(reason)

    def channelOpen(self, _):
        d = self.conn.sendRequest(self, "subsystem", common.NS(b"sftp"), wantReply=1)
        d.addCallbacks(self.started, self.ready.errback)

    def started(self, _):
        outer = self

        class Client(filetransfer.FileTransferClient):
            def gotServerVersion(self, version, ext):
                self.ext = ext
                outer.ready.callback(self)

        self.sftp = Client()
        self.sftp.makeConnection(self)

    def dataReceived(self, data):
        self.sftp.dataReceived(data)

    def closed(self):
        if self.sftp:
            self.sftp.connectionLost(None)


BLOCK = 32 << 10
AT_ONCE = 64
READ, WRITE, APPEND = filetransfer.FXF_READ, filetransfer.FXF_WRITE, filetransfer.FXF_APPEND
CREAT, TRUNC, EXCL = filetransfer.FXF_CREAT, filetransfer.FXF_TRUNC, filetransfer.FXF_EXCL
TYPES = {0o100000: 1, 0o040000: 2, 0o120000: 3}


def attributes(a):
    pairs = [(name, a[name]) for name in ("size", "uid", "gid", "atime", "mtime") if name in a]
    if "permissions" in a:
        pairs += [("mode", a["permissions"] & 0o7777), ("type", TYPES.get(a["permissions"] & 0o170000, 4))]
    return pairs


class Driver:
    trans = sftp = None

    async def connect(self, o):
        known = KnownHostsFile.fromPath(filepath.FilePath(o["known_hosts"]))
        self.trans, conn = await connect(
            o["host"], int(o["port"]), o["user"], o["password"], known=known, host=("[%(host)s]:%(port)s" % o).encode()
        )
        ch = Subsystem(conn=conn)
        conn.openChannel(ch)
        self.sftp = await ch.ready
        return [("n", self.sftp.version)]

    async def close(self, o):
        if self.trans:
            self.trans.loseConnection()
            await self.trans.gone
        self.trans = self.sftp = None

    async def list(self, o):
        d = await self.sftp.openDirectory(o["path"].encode())
        entries = []
        while True:
            try:
                entries += await d.read()
            except EOFError:
                break
        await d.close()
        entries = [e for e in entries if e[0] not in (b".", b"..")]
        return [("name", e[0].decode()) for e in entries] + [
            ("n", TYPES.get(e[2].get("permissions", 0) & 0o170000, 0)) for e in entries
        ]

    async def stat(self, o):
        return attributes(await self.sftp.getAttrs(o["path"].encode(), followLinks=1))

    async def lstat(self, o):
        return attributes(await self.sftp.getAttrs(o["path"].encode()))

    async def fstat(self, o):
        f = await self.sftp.openFile(o["path"].encode(), READ, {})
        result = attributes(await f.getAttrs())
        await f.close()
        return result

    async def send(self, source, target, offset):
        source.seek(offset)

        def writes():
            at = offset
            while block := source.read(BLOCK):
                yield target.writeChunk(at, block)
                at += len(block)

        coop = task.Cooperator()
        todo = writes()
        await defer.gatherResults([coop.coiterate(todo) for _ in range(AT_ONCE)], consumeErrors=True)

    async def receive(self, source, target, offset):
        size = (await source.getAttrs())["size"]

        async def block(at):
            while at < size:
                try:
                    data = await source.readChunk(at, BLOCK)
                except EOFError:
                    return
                os.pwrite(target.fileno(), data, at)
                if len(data) == BLOCK or at + len(data) == size:
                    return
                at += len(data)

        coop = task.Cooperator()
        todo = (defer.ensureDeferred(block(at)) for at in range(offset, size, BLOCK))
        await defer.gatherResults([coop.coiterate(todo) for _ in range(AT_ONCE)], consumeErrors=True)

    async def put(self, o):
        self.no_text(o)
        target = await self.sftp.openFile(o["path"].encode(), WRITE | CREAT | TRUNC, {})
        with open(o["local"], "rb") as source:
            await self.send(source, target, 0)
        await target.close()

    async def get(self, o):
        self.no_text(o)
        source = await self.sftp.openFile(o["path"].encode(), READ, {})
        with open(o["local"], "wb") as target:
            await self.receive(source, target, 0)
        await source.close()

    def no_text(self, o):
        if o.get("text"):
            raise NotApplicable("version 3 has no text mode")

    async def reput(self, o):
        size = (await self.sftp.getAttrs(o["path"].encode()))["size"]
        target = await self.sftp.openFile(o["path"].encode(), WRITE, {})
        with open(o["local"], "rb") as source:
            await self.send(source, target, size)
        await target.close()

    async def reget(self, o):
        source = await self.sftp.openFile(o["path"].encode(), READ, {})
        with open(o["local"], "r+b") as target:
            await self.receive(source, target, os.path.getsize(o["local"]))
        await source.close()

    async def append(self, o):
        target = await self.sftp.openFile(o["path"].encode(), WRITE | APPEND, {})
        with open(o["local"], "rb") as source:
            await target.writeChunk(0, source.read())
        await target.close()

    async def create(self, o):
        f = await self.sftp.openFile(o["path"].encode(), WRITE | CREAT | EXCL, {})
        await f.writeChunk(0, b"new")
        await f.close()

    async def rename(self, o):
        if o.get("overwrite"):
            raise NotApplicable("version 3 has no flags of RENAME")
        await self.sftp.renameFile(o["path"].encode(), o["to"].encode())

    async def symlink(self, o):
        await self.sftp.makeLink(o["path"].encode(), o["to"].encode())

    async def readlink(self, o):
        return [("text", await self.sftp.readLink(o["path"].encode()))]

    async def mkdir(self, o):
        await self.sftp.makeDirectory(o["path"].encode(), {"permissions": int(o["mode"])})

    async def rmdir(self, o):
        await self.sftp.removeDirectory(o["path"].encode())

    async def remove(self, o):
        await self.sftp.removeFile(o["path"].encode())

    async def chmod(self, o):
        await self.sftp.setAttrs(o["path"].encode(), {"permissions": int(o["mode"])})

    async def chown(self, o):
        await self.sftp.setAttrs(o["path"].encode(), {"uid": int(o["uid"]), "gid": int(o["gid"])})

    async def utimes(self, o):
        await self.sftp.setAttrs(o["path"].encode(), {"atime": int(o["atime"]), "mtime": int(o["mtime"])})

    async def truncate(self, o):
        await self.sftp.setAttrs(o["path"].encode(), {"size": int(o["size"])})

    async def realpath(self, o):
        return [("text", await self.sftp.realPath(o["path"].encode()))]

    def extended(name, *fields):
        async def call(self, o):
            if name not in self.sftp.ext:
                raise NotApplicable("the server announces no %s" % name.decode())
            await self.sftp.extendedRequest(name, b"".join(common.NS(o[f].encode()) for f in fields))

        return call

    posixrename = extended(b"posix-rename@openssh.com", "path", "to")
    link = extended(b"hardlink@openssh.com", "to", "path")

    def __getattr__(self, verb):
        async def no(o):
            raise NotApplicable("Conch has no %s" % verb)

        return no


async def sftp_client():
    driver = Driver()
    async for line in lines():
        o = dict(urllib.parse.parse_qsl(line, keep_blank_values=True))
        try:
            answer = await getattr(driver, o["verb"])(o) or []
        except NotApplicable as e:
            answer = [("na", e)]
        except filetransfer.SFTPError as e:
            answer = [("code", e.code), ("error", e.message)]
        except NotImplementedError as e:
            answer = [("code", 8), ("error", e)]
        except BaseException as e:
            answer = [("code", -1), ("error", "%s: %s" % (type(e).__name__, e))]
        print(urllib.parse.urlencode(answer), flush=True)


def main(args):
    role, args = args[:2], args[2:]
    if role == ["matrix", "client"]:
        return matrix_client()
    if role == ["matrix", "server"]:
        return serve(args, None, Anybody())
    if role == ["sftp", "client"]:
        return sftp_client()
    root, key, user, password = args
    checker = checkers.InMemoryUsernamePasswordDatabaseDontUse()
    checker.addUser(user.encode(), password.encode())
    return serve([key], root, checker)


task.react(lambda _: defer.ensureDeferred(main(sys.argv[1:])))
