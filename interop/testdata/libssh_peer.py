"""libssh and libssh2, by their Python bindings ssh-python and ssh2-python.

    libssh_peer.py LIBRARY matrix client  with everything it can do switched on: reads a port per line, sends 128 KiB
                                          there and back, and prints "ok" or "error: why" for each
    libssh_peer.py LIBRARY sftp client    takes one operation per line (see sftpop_test.go) and answers each

LIBRARY is libssh or libssh2.
"""

import os
import socket
import stat
import sys
import urllib.parse

BLOCK = 1 << 20
TYPES = {stat.S_IFREG: 1, stat.S_IFDIR: 2, stat.S_IFLNK: 3}


class NotApplicable(Exception):
    pass


class Refused(Exception):
    """The server's status code."""


def tcp(host, port):
    s = socket.create_connection((host, port), timeout=20)
    s.settimeout(None)
    return s


def attributes(a):
    mode = a["permissions"]
    return [(k, v) for k, v in a.items() if k != "permissions"] + [
        ("mode", stat.S_IMODE(mode)), ("type", TYPES.get(stat.S_IFMT(mode), 4))
    ]


class LibSSH:
    """ssh-python"""

    # What it can do and offers only when told. A certificate would need an authority that it knows.
    EVERYTHING = {
        "KEY_EXCHANGE": "curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256,ecdh-sha2-nistp384,"
        "ecdh-sha2-nistp521,diffie-hellman-group18-sha512,diffie-hellman-group16-sha512,"
        "diffie-hellman-group-exchange-sha256,diffie-hellman-group14-sha256,diffie-hellman-group14-sha1,"
        "diffie-hellman-group1-sha1,diffie-hellman-group-exchange-sha1",
        "HOSTKEYS": "ssh-ed25519,ecdsa-sha2-nistp521,ecdsa-sha2-nistp384,ecdsa-sha2-nistp256,rsa-sha2-512,rsa-sha2-256,ssh-rsa",
        "CIPHERS_C_S": "chacha20-poly1305@openssh.com,aes256-gcm@openssh.com,aes128-gcm@openssh.com,aes256-ctr,"
        "aes192-ctr,aes128-ctr,aes256-cbc,aes192-cbc,aes128-cbc,3des-cbc",
        "HMAC_C_S": "hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com,hmac-sha1-etm@openssh.com,"
        "hmac-sha2-256,hmac-sha2-512,hmac-sha1",
        "COMPRESSION_C_S": "none,zlib@openssh.com",
    }

    def __init__(self):
        from ssh import exceptions, options, session, sftp
        from ssh.sftp_attributes import SFTPAttributes

        self.Session, self.options, self.Error = session.Session, options, exceptions.BaseSSHError
        self.EOF, self.Attributes = exceptions.EOF, SFTPAttributes

    def connect(self, host, port, user, password, known_hosts=None, everything=False):
        self.s = self.Session()
        self.s.options_set(self.options.HOST, host)
        self.s.options_set_port(port)
        self.s.options_set(self.options.USER, user)
        self.s.options_set_int_val(self.options.TIMEOUT, 20)
        self.s.options_set_int_val(self.options.PROCESS_CONFIG, 0)
        if everything:
            for name, value in self.EVERYTHING.items():
                self.s.options_set(getattr(self.options, name), value)
                if name.endswith("_C_S"):
                    self.s.options_set(getattr(self.options, name[:-4] + "_S_C"), value)
        if known_hosts:
            self.s.options_set(self.options.KNOWNHOSTS, known_hosts)
            self.s.options_set(self.options.GLOBAL_KNOWNHOSTS, "/dev/null")
        self.s.connect()
        if known_hosts and self.s.is_server_known() != 1:
            raise Exception("host key is not the known one")
        self.s.userauth_password(user, password)

    def round_trip(self, data):
        ch = self.s.channel_new()
        ch.open_session()
        ch.request_exec("echo")
        back = b""
        for at in range(0, len(data), 32768):
            ch.write(data[at : at + 32768])
            back += ch.read_nonblocking()[1]
        ch.send_eof()
        while True:
            n, more = ch.read()
            if n <= 0:
                break
            back += more
        ch.close()
        return back, ch.get_exit_status()

    def close(self):
        self.s.disconnect()

    # SFTP

    def start(self):
        self.sftp = self.s.sftp_new()
        self.sftp.init()
        return self.sftp.server_version()

    def code(self, e):
        code = self.sftp.get_error()
        return code if 0 < code < 32 else -1

    def attrs(self, a):
        names = {"size": 1, "uid": 2, "gid": 2, "permissions": 4, "atime": 8, "mtime": 8}
        return {name: getattr(a, name) for name, flag in names.items() if a.flags & flag}

    def list(self, path):
        d = self.sftp.opendir(path)
        entries = []
        while not d.eof():
            if a := d.readdir():
                entries.append((a.name, a.permissions))
        d.closedir()
        return entries

    def stat(self, path):
        return self.attrs(self.sftp.stat(path))

    def lstat(self, path):
        return self.attrs(self.sftp.lstat(path))

    def fstat(self, path):
        with self.sftp.open(path, os.O_RDONLY, 0) as f:
            return self.attrs(f.fstat())

    def open(self, path, flags, mode=0o644):
        return self.sftp.open(path, flags, mode)

    def read(self, f, n):
        return f.read(n)[1]

    def write(self, f, data):
        while data:
            data = data[f.write(data) :]  # as much as the server's limits let it send at once

    def fsync(self, f):
        f.fsync()

    def seek(self, f, at):
        f.seek64(at)

    def set(self, path, **fields):
        a = self.Attributes.new_attrs(None)
        flags = {"size": 1, "uid": 2, "gid": 2, "permissions": 4, "atime": 8, "mtime": 8}
        for name, value in fields.items():
            setattr(a, name, value)
            a.flags |= flags[name]
        self.sftp.setstat(path, a)

    def rename(self, old, new):
        self.sftp.rename(old, new)

    def symlink(self, target, link):
        self.sftp.symlink(target, link)

    def readlink(self, path):
        return self.sftp.readlink(path)

    def realpath(self, path):
        return self.sftp.canonicalize_path(path)

    def mkdir(self, path, mode):
        self.sftp.mkdir(path, mode)

    def rmdir(self, path):
        self.sftp.rmdir(path)

    def remove(self, path):
        self.sftp.unlink(path)

    def statvfs(self, path):
        v = self.sftp.statvfs(path)
        return v.f_bsize, v.f_frsize, v.f_blocks, v.f_bfree, v.f_bavail


class LibSSH2:
    """ssh2-python"""

    def __init__(self):
        import ssh2.exceptions
        from ssh2 import session, sftp

        self.m, self.f, self.Error = session, sftp, ssh2.exceptions.SSH2Error

    def connect(self, host, port, user, password, known_hosts=None, everything=False):
        self.s = self.m.Session()
        self.s.set_timeout(20000)
        if everything:
            self.s.flag(self.m.LIBSSH2_FLAG_COMPRESS)
            for name in "KEX HOSTKEY CRYPT_CS CRYPT_SC MAC_CS MAC_SC COMP_CS COMP_SC".split():
                method = getattr(self.m, "LIBSSH2_METHOD_" + name)
                self.s.method_pref(method, ",".join(self.s.supported_algs(method)))
        self.socket = tcp(host, port)
        self.s.handshake(self.socket)
        if known_hosts:
            from ssh2.knownhost import LIBSSH2_KNOWNHOST_KEYENC_RAW, LIBSSH2_KNOWNHOST_TYPE_PLAIN

            known = self.s.knownhost_init()
            known.readfile(known_hosts)
            key, _ = self.s.hostkey()
            known.checkp(host.encode(), port, key, LIBSSH2_KNOWNHOST_TYPE_PLAIN | LIBSSH2_KNOWNHOST_KEYENC_RAW)
        self.s.userauth_password(user, password)

    def round_trip(self, data):
        ch = self.s.open_session()
        ch.execute("echo")
        back = b""
        self.s.set_blocking(False)
        while data:
            n, sent = ch.write(data[:32768])
            data = data[sent:]
            n, more = ch.read(BLOCK)
            back += more
        self.s.set_blocking(True)
        ch.send_eof()
        while True:
            n, more = ch.read(BLOCK)
            if n <= 0:
                break
            back += more
        ch.close()
        ch.wait_closed()
        return back, ch.get_exit_status()

    def close(self):
        self.s.disconnect()
        self.socket.close()

    # SFTP

    def start(self):
        self.sftp = self.s.sftp_init()
        return 3

    def code(self, e):
        code = self.sftp.last_error()
        return code if type(e).__name__ == "SFTPProtocolError" and 0 < code < 32 else -1

    def attrs(self, a):
        names = {"size": "filesize", "uid": "uid", "gid": "gid", "permissions": "permissions", "atime": "atime", "mtime": "mtime"}
        flags = {"size": 1, "uid": 2, "gid": 2, "permissions": 4, "atime": 8, "mtime": 8}
        return {name: getattr(a, field) for name, field in names.items() if a.flags & flags[name]}

    def list(self, path):
        with self.sftp.opendir(path) as d:
            return [(name, a.permissions) for _, name, a in d.readdir()]

    def stat(self, path):
        return self.attrs(self.sftp.stat(path))

    def lstat(self, path):
        return self.attrs(self.sftp.lstat(path))

    def fstat(self, path):
        with self.open(path, os.O_RDONLY) as f:
            return self.attrs(f.fstat())

    def open(self, path, flags, mode=0o644):
        out = {os.O_RDONLY: self.f.LIBSSH2_FXF_READ, os.O_WRONLY: self.f.LIBSSH2_FXF_WRITE}[flags & os.O_ACCMODE]
        for flag, name in (os.O_CREAT, "CREAT"), (os.O_TRUNC, "TRUNC"), (os.O_EXCL, "EXCL"), (os.O_APPEND, "APPEND"):
            if flags & flag:
                out |= getattr(self.f, "LIBSSH2_FXF_" + name)
        return self.sftp.open(path, out, mode)

    def read(self, f, n):
        return f.read(n)[1]

    def write(self, f, data):
        f.write(data)

    def fsync(self, f):
        f.fsync()

    def seek(self, f, at):
        f.seek64(at)

    def set(self, path, **fields):
        from ssh2.sftp_handle import SFTPAttributes

        a = SFTPAttributes()
        flags = {"size": 1, "uid": 2, "gid": 2, "permissions": 4, "atime": 8, "mtime": 8}
        for name, value in fields.items():
            setattr(a, "filesize" if name == "size" else name, value)
            a.flags |= flags[name]
        self.sftp.setstat(path, a)

    def rename(self, old, new):
        self.sftp.rename(old, new)

    def symlink(self, target, link):
        self.sftp.symlink(target, link)

    def readlink(self, path):
        raise NotApplicable("ssh2-python reads no links")

    def realpath(self, path):
        return self.sftp.realpath(path)

    def mkdir(self, path, mode):
        self.sftp.mkdir(path, mode)

    def rmdir(self, path):
        self.sftp.rmdir(path)

    def remove(self, path):
        self.sftp.unlink(path)

    def statvfs(self, path):
        v = self.sftp.statvfs(path)
        return v.f_bsize, v.f_frsize, v.f_blocks, v.f_bfree, v.f_bavail


LIBRARIES = {"libssh": LibSSH, "libssh2": LibSSH2}


def matrix(make):
    data = b"x" * (64 << 10) + os.urandom(64 << 10)
    for line in sys.stdin:
        try:
            library = make()
            library.connect("127.0.0.1", int(line), "interop", "any", everything=True)
            back, status = library.round_trip(data)
            library.close()
            answer = "ok"
            if back != data or status != 0:
                answer = "error: %d octets came back, not as they went, status %s" % (len(back), status)
        except Exception as e:
            answer = "error: %s: %s" % (type(e).__name__, str(e).replace("\n", " "))
        print(answer, flush=True)


class Driver:
    def __init__(self, library):
        self.library, self.name = library, type(library).__doc__

    def connect(self, o):
        self.library.connect(o["host"], int(o["port"]), o["user"], o["password"], known_hosts=o["known_hosts"])
        return [("n", self.library.start())]

    def close(self, o):
        self.library.close()

    def list(self, o):
        entries = [(os.fsdecode(name), mode) for name, mode in self.library.list(o["path"])]
        entries = [e for e in entries if e[0] not in (".", "..")]
        return [("name", name) for name, _ in entries] + [("n", TYPES.get(stat.S_IFMT(mode), 4)) for _, mode in entries]

    def stat(self, o):
        return attributes(self.library.stat(o["path"]))

    def lstat(self, o):
        return attributes(self.library.lstat(o["path"]))

    def fstat(self, o):
        return attributes(self.library.fstat(o["path"]))

    def send(self, o, flags, offset=0):
        with open(o["local"], "rb") as source, self.library.open(o["path"], os.O_WRONLY | flags) as target:
            source.seek(offset)
            if offset:
                self.library.seek(target, offset)
            while block := source.read(BLOCK):
                self.library.write(target, block)

    def receive(self, o, mode, offset=0):
        with open(o["local"], mode) as target, self.library.open(o["path"], os.O_RDONLY) as source:
            if offset:
                self.library.seek(source, offset)
                target.seek(offset)
            while block := self.library.read(source, BLOCK):
                target.write(block)

    def put(self, o):
        self.no_text(o)
        self.send(o, os.O_CREAT | os.O_TRUNC)

    def get(self, o):
        self.no_text(o)
        self.receive(o, "wb")

    def no_text(self, o):
        if o.get("text"):
            raise NotApplicable("version 3 has no text mode")

    def reput(self, o):
        self.send(o, 0, self.library.stat(o["path"])["size"])

    def reget(self, o):
        self.receive(o, "r+b", os.path.getsize(o["local"]))

    def append(self, o):
        self.send(o, os.O_APPEND)

    def create(self, o):
        with self.library.open(o["path"], os.O_WRONLY | os.O_CREAT | os.O_EXCL) as f:
            self.library.write(f, b"new")

    def rename(self, o):
        if o.get("overwrite"):
            raise NotApplicable("version 3 has no flags of RENAME")
        self.library.rename(o["path"], o["to"])

    def symlink(self, o):
        self.library.symlink(o["to"], o["path"])

    def readlink(self, o):
        return [("text", os.fsdecode(self.library.readlink(o["path"])))]

    def realpath(self, o):
        return [("text", os.fsdecode(self.library.realpath(o["path"])))]

    def mkdir(self, o):
        self.library.mkdir(o["path"], int(o["mode"]))

    def rmdir(self, o):
        self.library.rmdir(o["path"])

    def remove(self, o):
        self.library.remove(o["path"])

    def chmod(self, o):
        self.library.set(o["path"], permissions=int(o["mode"]))

    def chown(self, o):
        self.library.set(o["path"], uid=int(o["uid"]), gid=int(o["gid"]))

    def utimes(self, o):
        self.library.set(o["path"], atime=int(o["atime"]), mtime=int(o["mtime"]))

    def truncate(self, o):
        self.library.set(o["path"], size=int(o["size"]))

    def fsync(self, o):
        with self.library.open(o["path"], os.O_WRONLY) as f:
            self.library.fsync(f)

    def statvfs(self, o):
        return [("n", n) for n in self.library.statvfs(o["path"])]

    def __getattr__(self, verb):
        def no(o):
            raise NotApplicable("%s has no %s" % (self.name, verb))

        return no


def sftp(library):
    driver = Driver(library)
    for line in sys.stdin:
        o = dict(urllib.parse.parse_qsl(line.rstrip("\n"), keep_blank_values=True))
        try:
            answer = getattr(driver, o["verb"])(o) or []
        except NotApplicable as e:
            answer = [("na", e)]
        except Exception as e:
            answer = [("code", library.code(e) if isinstance(e, library.Error) else -1), ("error", "%s: %s" % (type(e).__name__, e))]
        print(urllib.parse.urlencode(answer), flush=True)


if sys.argv[2] == "matrix":
    matrix(LIBRARIES[sys.argv[1]])
else:
    sftp(LIBRARIES[sys.argv[1]]())
