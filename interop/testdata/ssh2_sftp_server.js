// A file server on node's ssh2, which brings the protocol and leaves the files to its user.
//
//   ssh2_sftp_server.js ROOT KEY USER PASSWORD   serves ROOT as "/"; prints "listening on ADDRESS"
'use strict';

const fs = require('fs');
const path = require('path');
const { Server, utils } = require('ssh2');

const { STATUS_CODE, OPEN_MODE } = utils.sftp;
const [root, key, user, password] = process.argv.slice(2);

const there = (name) => path.join(root, path.posix.resolve('/', name));
const attrs = (s) => ({ mode: s.mode, uid: s.uid, gid: s.gid, size: s.size, atime: s.atimeMs / 1000, mtime: s.mtimeMs / 1000 });

function code(err) {
  switch (err.code) {
    case 'ENOENT':
      return STATUS_CODE.NO_SUCH_FILE;
    case 'EACCES':
    case 'EPERM':
      return STATUS_CODE.PERMISSION_DENIED;
    default:
      return STATUS_CODE.FAILURE;
  }
}

function set(name, a) {
  if (a.size !== undefined) fs.truncateSync(name, a.size);
  if (a.mode !== undefined) fs.chmodSync(name, a.mode & 0o7777);
  if (a.uid !== undefined) fs.chownSync(name, a.uid, a.gid);
  if (a.mtime !== undefined) fs.utimesSync(name, a.atime, a.mtime);
}

function files(sftp) {
  const open = new Map();
  let last = 0;
  const handle = (what) => {
    const h = Buffer.alloc(4);
    h.writeUInt32BE(++last);
    open.set(last, what);
    return h;
  };
  const of = (h) => open.get(h.readUInt32BE(0));
  // A handler returns nothing for OK, or has answered itself and returns true.
  const on = (request, f) =>
    sftp.on(request, (id, ...args) => {
      try {
        if (!f(id, ...args)) sftp.status(id, STATUS_CODE.OK);
      } catch (err) {
        sftp.status(id, code(err), err.message);
      }
    });
  const reply = (send) => (send, true);

  on('OPEN', (id, name, flags, a) => {
    const file = there(name);
    let how = flags & OPEN_MODE.WRITE ? (flags & OPEN_MODE.READ ? fs.constants.O_RDWR : fs.constants.O_WRONLY) : fs.constants.O_RDONLY;
    for (const flag of ['APPEND', 'CREAT', 'TRUNC', 'EXCL']) {
      if (flags & OPEN_MODE[flag]) how |= fs.constants['O_' + flag];
    }
    const fd = fs.openSync(file, how, a.mode ?? 0o644);
    return reply(sftp.handle(id, handle({ fd, file, append: !!(flags & OPEN_MODE.APPEND) })));
  });
  on('READ', (id, h, offset, length) => {
    const data = Buffer.alloc(length);
    const n = fs.readSync(of(h).fd, data, 0, length, offset);
    return reply(n === 0 ? sftp.status(id, STATUS_CODE.EOF) : sftp.data(id, data.subarray(0, n)));
  });
  on('WRITE', (id, h, offset, data) => void fs.writeSync(of(h).fd, data, 0, data.length, of(h).append ? null : offset));
  on('CLOSE', (id, h) => {
    const what = of(h);
    open.delete(h.readUInt32BE(0));
    if (what.fd !== undefined) fs.closeSync(what.fd);
  });
  on('FSTAT', (id, h) => reply(sftp.attrs(id, attrs(fs.fstatSync(of(h).fd)))));
  on('FSETSTAT', (id, h, a) => set(of(h).file, a));
  on('STAT', (id, name) => reply(sftp.attrs(id, attrs(fs.statSync(there(name))))));
  on('LSTAT', (id, name) => reply(sftp.attrs(id, attrs(fs.lstatSync(there(name))))));
  on('SETSTAT', (id, name, a) => set(there(name), a));
  on('OPENDIR', (id, name) => reply(sftp.handle(id, handle({ dir: there(name), names: fs.readdirSync(there(name)) }))));
  on('READDIR', (id, h) => {
    const what = of(h);
    const names = what.names.splice(0, 100);
    if (names.length === 0) return reply(sftp.status(id, STATUS_CODE.EOF));
    return reply(
      sftp.name(
        id,
        names.map((filename) => ({ filename, longname: filename, attrs: attrs(fs.lstatSync(path.join(what.dir, filename))) })),
      ),
    );
  });
  on('REMOVE', (id, name) => fs.unlinkSync(there(name)));
  on('MKDIR', (id, name, a) => void fs.mkdirSync(there(name), { mode: a.mode ?? 0o755 }));
  on('RMDIR', (id, name) => fs.rmdirSync(there(name)));
  on('REALPATH', (id, name) => {
    const filename = path.posix.resolve('/', name);
    return reply(sftp.name(id, [{ filename, longname: filename, attrs: {} }]));
  });
  on('RENAME', (id, from, to) => {
    if (fs.existsSync(there(to))) throw new Error('the new name exists');
    fs.renameSync(there(from), there(to));
  });
  on('READLINK', (id, name) => {
    const filename = fs.readlinkSync(there(name));
    return reply(sftp.name(id, [{ filename, longname: filename, attrs: {} }]));
  });
  on('SYMLINK', (id, link, target) => fs.symlinkSync(target, there(link)));
}

const server = new Server({ hostKeys: [fs.readFileSync(key)] }, (client) => {
  client.on('authentication', (ctx) => {
    if (ctx.method === 'password' && ctx.username === user && ctx.password === password) ctx.accept();
    else ctx.reject(['password']);
  });
  client.on('error', () => {});
  client.on('session', (accept) => accept().on('sftp', (accept) => files(accept())));
});
process.on('SIGTERM', () => process.exit(0));
server.listen(0, '127.0.0.1', () => {
  // Node's files may be root's alone: from here on they are all read.
  if (process.getuid() === 0) {
    process.setgroups([]);
    process.setgid(65534);
    process.setuid(65534);
  }
  console.log(`listening on 127.0.0.1:${server.address().port}`);
});
