// node's ssh2 with everything it can do switched on.
//
//   server HOST_KEY...  prints "listening on ADDRESS"; commands get back their input
//   client              reads a port per line, sends 128 KiB there and back, and prints "ok" or "error: why" for each
'use strict';

const crypto = require('crypto');
const fs = require('fs');
const readline = require('readline');
const { Client, Server } = require('ssh2');
const known = require('ssh2/lib/protocol/constants.js');

const algorithms = {
  kex: known.SUPPORTED_KEX,
  serverHostKey: known.SUPPORTED_SERVER_HOST_KEY,
  cipher: known.SUPPORTED_CIPHER,
  hmac: known.SUPPORTED_MAC,
  compress: known.SUPPORTED_COMPRESSION,
};

function serve(files) {
  const server = new Server({ hostKeys: files.map((f) => fs.readFileSync(f)), algorithms }, (client) => {
    client.on('authentication', (ctx) => ctx.accept());
    client.on('error', () => {});
    client.on('session', (accept) => {
      accept().on('exec', (accept) => {
        const stream = accept();
        stream.on('end', () => {
          stream.exit(0);
          stream.end();
        });
        stream.pipe(stream, { end: false });
      });
    });
  });
  server.listen(0, '127.0.0.1', () => console.log(`listening on 127.0.0.1:${server.address().port}`));
}

const data = Buffer.concat([Buffer.alloc(64 << 10, 'x'), crypto.randomBytes(64 << 10)]);

function roundTrip(port) {
  return new Promise((resolve, reject) => {
    const client = new Client();
    const chunks = [];
    client.on('error', reject);
    client.on('ready', () => {
      client.exec('echo', (err, stream) => {
        if (err) return reject(err);
        stream.on('data', (chunk) => chunks.push(chunk));
        stream.on('close', () => {
          const back = Buffer.concat(chunks);
          client.end();
          if (back.equals(data)) resolve();
          else reject(new Error(`${back.length} octets came back, not as they went`));
        });
        stream.end(data);
      });
    });
    client.on('close', () => reject(new Error('connection closed')));
    client.connect({ host: '127.0.0.1', port, username: 'interop', password: 'any', algorithms, readyTimeout: 20000 });
  });
}

async function drive() {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    try {
      await roundTrip(Number(line));
      console.log('ok');
    } catch (e) {
      console.log(`error: ${e.message.replace(/\n/g, ' ')}`);
    }
  }
}

if (process.argv[2] === 'server') serve(process.argv.slice(3));
else drive();
