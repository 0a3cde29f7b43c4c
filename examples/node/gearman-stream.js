'use strict';
// Takes jobs from `gearman-worker stream`: one message for each on descriptor 3, the answer on descriptor 4 (docs/stream.md).
//
//   const { run } = require('./gearman-stream');
//   run(async (job) => {
//     job.status(1, 2);
//     return Buffer.from(job.workload).reverse();
//   });
//
// An exception fails the job with its message. console.log and console.error go to the worker's log.
const fs = require('node:fs');

function send(header, body = '') {
  const bytes = Buffer.isBuffer(body) ? body : Buffer.from(String(body));
  let message = Buffer.concat([Buffer.from(JSON.stringify({ ...header, bytes: bytes.length }) + '\n'), bytes]);
  while (message.length > 0) {
    message = message.subarray(fs.writeSync(4, message));
  }
}

class Job {
  #id;
  constructor(header, workload) {
    this.#id = header.id;
    this.function = header.function;
    this.handle = header.handle;
    this.unique = header.unique;
    this.workload = workload; // a Buffer
  }
  /** Reports the progress of the job to the client. */
  status(numerator, denominator) { send({ type: 'status', id: this.#id, numerator, denominator }); }
  /** Sends a part of the result now. */
  data(part) { send({ type: 'data', id: this.#id }, part); }
  /** Sends a warning now. */
  warning(text) { send({ type: 'warning', id: this.#id }, text); }
}

// messages cuts what comes on descriptor 3 into [header, body].
async function* messages() {
  let chunks = [];
  let have = 0;
  let header = null;
  for await (const chunk of fs.createReadStream(null, { fd: 3, autoClose: false })) {
    chunks.push(chunk);
    have += chunk.length;
    // Joined only when there is enough, so that a large body isn't copied again with each chunk.
    if (header && have < (header.bytes ?? 0)) continue;
    let buffer = Buffer.concat(chunks);
    for (;;) {
      if (!header) {
        const end = buffer.indexOf(10);
        if (end < 0) break;
        header = JSON.parse(buffer.subarray(0, end).toString());
        buffer = buffer.subarray(end + 1);
      }
      const size = header.bytes ?? 0;
      if (buffer.length < size) break;
      const body = buffer.subarray(0, size);
      buffer = buffer.subarray(size);
      const complete = header;
      header = null;
      yield [complete, body];
    }
    chunks = [buffer];
    have = buffer.length;
  }
}

/** Runs jobs until the worker has no more; handler gets a Job and returns the result (Buffer or text), or a promise of it. */
async function run(handler) {
  for await (const [header, body] of messages()) {
    switch (header.type) {
      case 'hello':
        send({ type: 'ready', version: 1 });
        break;
      case 'ping':
        send({ type: 'pong', id: header.id });
        break;
      case 'job':
        try {
          const result = await handler(new Job(header, body));
          send({ type: 'complete', id: header.id }, result ?? '');
        } catch (e) {
          console.error(e);
          send({ type: 'fail', id: header.id }, e.message);
        }
    }
  }
}

module.exports = { run };
