// A client and a worker on npm's node-gearman, for the interop tests:
// node-gearman.js client HOST PORT KIND FUNCTION UNIQUE <payload >result, or node-gearman.js worker HOST PORT
// Events go to stderr, one in a line.
'use strict'
const Gearman = require('node-gearman')

const [mode, host, port, kind, name, unique] = process.argv.slice(2)
const say = (...words) => process.stderr.write(words.map(w => encodeURIComponent(w)).join(' ') + '\n')
const it = new Gearman(host, Number(port))
it.on('error', e => { say('error', e.message); process.exitCode = 1 })

function client(payload) {
  const priority = kind.startsWith('high') ? 'high' : kind.startsWith('low') ? 'low' : undefined
  const job = it.submitJob(name, payload, unique, { priority })
  const parts = []
  job.on('data', b => parts.push(b))
  job.on('end', () => process.stdout.write(Buffer.concat(parts), () => it.close()))
  job.on('error', () => { say('fail'); it.close() })
}

function worker() {
  it.on('close', () => process.exit(1))
  it.registerWorker('reverse', (payload, w) => w.end(Buffer.from(payload || []).reverse()))
  it.registerWorker('fail', (payload, w) => w.error())
}

if (mode === 'worker') {
  worker()
} else {
  const parts = []
  process.stdin.on('data', b => parts.push(b)).on('end', () => client(Buffer.concat(parts)))
}
