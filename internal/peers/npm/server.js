// SPDX-License-Identifier: Apache-2.0

// A Forward server (FluentServer of @fluent-org/logger) that counts records, for tests. It
// acknowledges chunks and reads EventTime.
//
//   npm ci --prefix internal/peers/npm
//   PORT=24224 OUT=received.ndjson node internal/peers/npm/server.js
//
// Environment:
//   PORT             port to listen on; 0, the default, is a free one
//   HOST             default 127.0.0.1
//   OUT              file to append to: a line {tag, time, seq, id} for each record
//   SHARED_KEY       shared key that clients must have
//   USER_NAME, USER_PASSWORD
//                    user that clients must authenticate in addition to the shared key
//   TLS_CERT, TLS_KEY
//                    files with the certificate of the server and its key: it speaks TLS
//   TLS_CLIENT_CA    file with the CA whose certificates clients must have
//   STOP_WITH_STDIN  1: end when stdin is closed, which happens when the parent ends
//   GMPULSE_NPM_PEER node_modules to load from, default the one next to this file
//
// It prints JSON lines on stdout: first {"listening": port}, then a summary for each line
// "summary" on stdin and for SIGTERM or SIGINT, which end it:
//
//   {"entries": 3, "unique": 2,
//    "tags": {"gmpulse.x.runtime": {"entries": 3, "unique": 2, "last": {"time": "...", "record": {...}}}}}
//
// Times are nanoseconds since 1970 as decimal strings, because a JSON number is not precise
// enough. Records with the same id count as one in unique.
'use strict';

const fs = require('fs');
const path = require('path');
const readline = require('readline');

const modules = process.env.GMPULSE_NPM_PEER || path.join(__dirname, 'node_modules');
const {FluentServer} = require(path.resolve(modules, '@fluent-org/logger'));

// The file is written synchronously, so that it has every counted record even if this
// process is killed.
const out = process.env.OUT ? fs.openSync(process.env.OUT, 'a') : null;
const tags = new Map(); // tag -> {entries, ids, last}

function nanoseconds(time) {
  if (typeof time === 'number') return BigInt(time) * 1000000000n;
  return BigInt(time.epoch) * 1000000000n + BigInt(time.nano);
}

function json(value) {
  return JSON.stringify(value, (_, v) => (typeof v === 'bigint' ? v.toString() : v));
}

function received(tag, time, record) {
  const ns = nanoseconds(time);
  if (!tags.has(tag)) tags.set(tag, {entries: 0, ids: new Set(), last: null});
  const t = tags.get(tag);
  t.entries++;
  t.ids.add(record.id);
  t.last = {time: ns, record};
  if (out !== null) fs.writeSync(out, json({tag, time: ns, seq: record.seq, id: record.id}) + '\n');
}

function summary() {
  const s = {entries: 0, unique: 0, tags: {}};
  for (const [tag, t] of tags) {
    s.entries += t.entries;
    s.unique += t.ids.size;
    s.tags[tag] = {entries: t.entries, unique: t.ids.size, last: t.last};
  }
  return s;
}

function end() {
  fs.writeSync(1, json(summary()) + '\n'); // exit could truncate the output of console.log
  process.exit(0);
}

const {SHARED_KEY, USER_NAME, USER_PASSWORD, TLS_CERT, TLS_KEY, TLS_CLIENT_CA} = process.env;
const file = name => (name ? fs.readFileSync(name) : undefined);
const server = new FluentServer({
  listenOptions: {port: Number(process.env.PORT || 0), host: process.env.HOST || '127.0.0.1'},
  security: SHARED_KEY
    ? {
        serverHostname: 'peer',
        sharedKey: SHARED_KEY,
        authorize: Boolean(USER_NAME),
        userDict: USER_NAME ? {[USER_NAME]: USER_PASSWORD} : {},
      }
    : undefined,
  tlsOptions: TLS_CERT
    ? {
        cert: file(TLS_CERT),
        key: file(TLS_KEY),
        ca: file(TLS_CLIENT_CA),
        requestCert: Boolean(TLS_CLIENT_CA),
        rejectUnauthorized: Boolean(TLS_CLIENT_CA),
      }
    : undefined,
});
server.on('entry', received);
// The library acknowledges a record before it emits it. A kill between the two would lose an
// acknowledged record, and so acknowledgements, which are maps of one key, are delayed until
// after the event.
server.server.on(TLS_CERT ? 'secureConnection' : 'connection', socket => {
  const write = socket.write.bind(socket);
  socket.write = data => {
    if (data[0] !== 0x81) return write(data); // of the handshake
    setImmediate(() => write(data));
    return true;
  };
});
server.server.on('error', err => {
  console.error(err.message);
  process.exit(1);
});
process.on('SIGTERM', end);
process.on('SIGINT', end);
const lines = readline.createInterface({input: process.stdin});
lines.on('line', line => {
  if (line === 'summary') console.log(json(summary()));
});
lines.on('close', () => {
  if (process.env.STOP_WITH_STDIN === '1') process.exit(0);
});
server.listen().then(() => console.log(json({listening: server.port})));
