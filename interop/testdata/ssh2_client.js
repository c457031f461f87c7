// Runs one job (JSON on stdin, see job_test.go) with node's ssh2 and prints the outcome as JSON.
'use strict';

const fs = require('fs');
const { pipeline } = require('stream/promises');
const { promisify } = require('util');
const { Client } = require('ssh2');

if (process.argv[2] === '--algorithms') {
  const known = require('ssh2/lib/protocol/constants.js');
  process.stdout.write(JSON.stringify({
    kex: known.SUPPORTED_KEX,
    hostkey: known.SUPPORTED_SERVER_HOST_KEY,
    cipher: known.SUPPORTED_CIPHER,
    mac: known.SUPPORTED_MAC,
  }));
  process.exit();
}

const job = JSON.parse(fs.readFileSync(0, 'utf8'));
const result = { listed: [], rekeys: 0, status: 0 };
const client = new Client();

function options() {
  const algorithms = {};
  const wanted = { kex: 'kex', hostkey: 'serverHostKey', cipher: 'cipher', mac: 'hmac' };
  for (const [name, option] of Object.entries(wanted)) {
    if (job.algorithms[name]) algorithms[option] = [job.algorithms[name]];
  }
  const known = job.host_keys.map((line) => line.split(' ')[1]);
  const chosen = {
    host: job.host, port: job.port, username: job.user, algorithms, readyTimeout: 60000,
    hostVerifier: (key) => known.includes(key.toString('base64')),
  };
  if (job.password) {
    return { ...chosen, password: job.password, authHandler: ['password'] };
  }
  return { ...chosen, privateKey: fs.readFileSync(job.key), authHandler: ['publickey'] };
}

// ssh2 takes new keys only when told to: count the bytes on the socket, both ways.
function rekeyEvery(bytes) {
  const socket = client._sock;
  let last = socket.bytesRead + socket.bytesWritten;
  let busy = false;
  client.on('handshake', () => {
    result.rekeys++;
    busy = false;
  });
  const timer = setInterval(() => {
    const passed = socket.bytesRead + socket.bytesWritten;
    if (busy || passed - last < bytes) return;
    last = passed;
    busy = true;
    client._protocol.rekey();
  }, 1);
  timer.unref();
}

async function exec(step) {
  let closed;
  // Listen within the callback: the status may be in the same segment as the answer, and is told only once.
  const stream = await new Promise((resolve, reject) => {
    client.exec(step.command, (err, stream) => {
      if (err) { reject(err); return; }
      stream.on('exit', (code) => { result.status = code; });
      closed = new Promise((done) => { stream.on('close', done); });
      resolve(stream);
    });
  });
  stream.stderr.resume();
  const output = step.to ? fs.createWriteStream(step.to) : fs.createWriteStream('/dev/null');
  const received = pipeline(stream, output, { end: true });
  if (step.local) fs.createReadStream(step.local).pipe(stream);
  else stream.end();
  await Promise.all([closed, received]);
}

async function run(sftp, step) {
  const call = (name, ...args) => promisify(sftp[name].bind(sftp))(...args);
  const { verb, local, remote, to } = step;
  switch (verb) {
    case 'list':
      result.listed.push(...(await call('readdir', remote)).map((entry) => entry.filename));
      break;
    case 'put': await call('fastPut', local, remote); break;
    case 'get': await call('fastGet', remote, local); break;
    case 'putp': {
      await call('fastPut', local, remote);
      const st = fs.statSync(local);
      await call('utimes', remote, st.atimeMs / 1000, st.mtimeMs / 1000);
      break;
    }
    case 'getp': {
      await call('fastGet', remote, local);
      const st = await call('stat', remote);
      fs.utimesSync(local, st.atime, st.mtime);
      break;
    }
    case 'reput': {
      const { size } = await call('stat', remote);
      await pipeline(fs.createReadStream(local, { start: size }),
        sftp.createWriteStream(remote, { flags: 'r+', start: size }));
      break;
    }
    case 'reget': {
      const { size } = fs.statSync(local);
      await pipeline(sftp.createReadStream(remote, { start: size }),
        fs.createWriteStream(local, { flags: 'r+', start: size }));
      break;
    }
    case 'rename': await call('rename', remote, to); break;
    case 'rm': await call('unlink', remote); break;
    case 'mkdir': await call('mkdir', remote); break;
    case 'rmdir': await call('rmdir', remote); break;
    case 'chmod': await call('chmod', remote, step.mode); break;
    case 'symlink': await call('symlink', to, remote); break;
    case 'exec': await exec(step); break;
    default: throw new Error(`no verb ${verb}`);
  }
}

async function main() {
  await new Promise((resolve, reject) => {
    client.once('ready', resolve).once('error', reject).connect(options());
  });
  if (job.rekey_bytes) rekeyEvery(job.rekey_bytes);
  const steps = job.steps || [];
  let sftp;
  if (steps.some((step) => step.verb !== 'exec')) sftp = await promisify(client.sftp.bind(client))();
  for (const step of steps) await run(sftp, step);
  client.end();
  process.stdout.write(JSON.stringify(result));
}

main().catch((err) => {
  console.error(err);
  process.exit(1);
});
