// A client and a worker on npm's gearman, for the interop tests:
// gearman.js client HOST PORT KIND FUNCTION UNIQUE <payload >result, or gearman.js worker HOST PORT
// Events go to stderr, one in a line.
'use strict'
const gearman = require('gearman')

const [mode, host, port, kind, name, unique] = process.argv.slice(2)
const say = (...words) => process.stderr.write(words.map(w => encodeURIComponent(w)).join(' ') + '\n')
const it = gearman(host, Number(port))
it.on('error', e => { say('error', e.message); process.exitCode = 1 })

function client(payload) {
  const background = kind.endsWith('background')
  const priority = kind.startsWith('high') ? 'high' : kind.startsWith('low') ? 'low' : 'normal'
  const end = () => it.close()
  it.on('JOB_CREATED', handle => {
    if (!background) return
    process.stdout.write(String(handle))
    end()
  })
  it.on('WORK_STATUS', j => say('status', j.percent_num, j.percent_den))
  it.on('WORK_DATA', j => say('data', j.payload.toString('latin1')))
  it.on('WORK_WARNING', j => say('warning', j.warning))
  it.on('WORK_EXCEPTION', j => { say('exception', j.exception); end() })
  it.on('WORK_FAIL', () => { say('fail'); end() })
  it.on('WORK_COMPLETE', j => { say('complete'); process.stdout.write(j.payload, end) })
  it.connect(() => {
    it.setOption('exceptions')
    it.submitJob(name, payload, { unique_id: unique || undefined, background, priority })
  })
}

function worker() {
  const functions = {
    reverse: j => Buffer.from(j.payload).reverse(),
    unique: j => j.unique_id,
    progress: j => {
      it.sendWorkStatus(j.handle, '1', '3')
      it.sendWorkData(j.handle, Buffer.from('part\0of'))
      it.sendWorkWarning(j.handle, 'careful')
      return 'done'
    },
    fail: j => { it.sendWorkFail(j.handle) },
    except: j => { it.sendWorkException(j.handle, 'boom') }
  }
  const run = j => {
    const result = functions[j.func_name](j)
    if (result !== undefined) it.sendWorkComplete(j.handle, result)
    it.grabUniqueJob()
  }
  it.on('JOB_ASSIGN', run)
  it.on('JOB_ASSIGN_UNIQ', run)
  it.on('NO_JOB', () => it.preSleep())
  it.on('NOOP', () => it.grabUniqueJob())
  it.on('close', () => process.exit(1))
  it.connect(() => {
    for (const f of Object.keys(functions)) it.addFunction(f)
    it.grabUniqueJob()
  })
}

if (mode === 'worker') {
  worker()
} else {
  const parts = []
  process.stdin.on('data', b => parts.push(b)).on('end', () => client(Buffer.concat(parts)))
}
