package gearmantest

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strconv"
	"strings"

	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

// This file has the dialect of Perl's Gearman::Server 1.130. It uses the same lists as gearmand's,
// but hardly any of its rules: a lost worker's job fails, CANT_DO doesn't affect running jobs,
// functions take turns, and most of the newer requests are unknown to it.
//
// A job of this dialect waits only in its function's normal line, and job.queuedOn means that it
// was submitted in the background.

// perlWakeup is the default of its option --wakeup: how many workers are woken for a job. The rest
// are woken perlWakeupDelayMS later.
const (
	perlWakeup        = 3
	perlWakeupDelayMS = 100
)

func (q *queue) perlHandle(p *peer, r *request) {
	switch r.typ {
	case proto.TypeEchoReq:
		p.out = proto.AppendPacket(p.out, proto.Response, proto.TypeEchoRes, r.data)
		q.touch(p)
	case proto.TypeSubmitJob, proto.TypeSubmitJobBG, proto.TypeSubmitJobHigh:
		q.perlSubmit(p, r)
	case proto.TypeGetStatus:
		q.perlStatus(p, r.args[0])
	case proto.TypeOptionReq:
		if string(r.args[0]) != "exceptions" {
			q.refuse(p, "unknown_option", "")
			return
		}
		p.exceptions = true
		q.put(p, proto.TypeOptionRes, "exceptions")
	case proto.TypeCanDo, proto.TypeCanDoTimeout:
		ms := int64(0)
		if r.typ == proto.TypeCanDoTimeout {
			seconds, _ := parseLong(r.args[1])
			ms = seconds * 1000
		}
		q.perlCantDo(p, r.args[0])
		q.canDo(p, r.args[0], ms)
	case proto.TypeCantDo:
		q.perlCantDo(p, r.args[0])
	case proto.TypeResetAbilities:
		q.forgetAll(p)
	case proto.TypePreSleep:
		q.perlSleep(p)
	case proto.TypeGrabJob:
		q.perlGrab(p)
	case proto.TypeWorkStatus, proto.TypeWorkComplete, proto.TypeWorkFail, proto.TypeWorkException:
		q.perlWork(p, r)
	case proto.TypeSetClientID:
		p.id = strings.Join(strings.Fields(string(r.args[0])), "")
		if p.id == "" {
			p.id = "-"
		}
	default:
		name := ""
		if perlNames[r.typ] {
			name = strings.ToLower(r.typ.String())
		}
		q.refuse(p, "server_error", `Can't locate object method "CMD_`+name+
			`" via package "Gearman::Server::Client" at /usr/share/perl5/Gearman/Server/Client.pm line 552.`+"\n")
	}
}

// perlNames are the types whose name its library knows although the server has no method for them.
var perlNames = map[proto.Type]bool{
	proto.TypeNoop: true, proto.TypeJobCreated: true, proto.TypeNoJob: true, proto.TypeJobAssign: true,
	proto.TypeEchoRes: true,
	proto.TypeError:   true, proto.TypeStatusRes: true, proto.TypeOptionRes: true, proto.TypeAllYours: true,
	proto.TypeWorkData:    true,
	proto.TypeWorkWarning: true, proto.TypeSubmitJobHighBG: true, proto.TypeSubmitJobLow: true,
	proto.TypeSubmitJobLowBG: true,
}

func (q *queue) perlSubmit(p *peer, r *request) {
	if r.n < 2 || len(r.args[0]) == 0 {
		q.refuse(p, "invalid_args", "No func/uniq header ["+string(r.body)+"].")
		return
	}
	s := submission{function: r.args[0], unique: r.args[1], data: r.data, prio: priorityOf[r.typ]}
	client := p
	if r.typ == proto.TypeSubmitJobBG {
		client = nil
	}
	j := q.perlAdd(s, client)
	q.put(p, proto.TypeJobCreated, j.handle)
	q.perlRing(j.fn)
}

// perlAdd finds the job that a submission joins, or creates one.
func (q *queue) perlAdd(s submission, client *peer) *job {
	f := q.function(s.function)
	unique, keyed := string(s.unique), len(s.unique) > 0
	if unique == "-" {
		unique = string(s.data) // an empty payload is a key like any other
	}
	var j *job
	if keyed {
		j = q.perlFind(f, unique)
	}
	if j == nil {
		q.perlMakeRoom(f)
		q.created++
		j = &job{
			handle: q.rules.handlePrefix + ":" + strconv.FormatUint(q.created, 10),
			fn:     f, unique: unique, uniqueLen: len(unique), data: slices.Clone(s.data), prio: normal,
		}
		j.node.v = j
		q.jobs.pushBack(&j.node)
		q.byHandle[j.handle] = j
		f.total++
		if keyed {
			j.sameUnique = q.byUnique[unique]
			q.byUnique[unique] = j
		}
		l := &f.lines[normal]
		l.push(j)
		if s.prio == high && l.n > 1 {
			l.toFront(j)
		}
		f.queued++
		f.asked = true
	}
	if client == nil {
		j.queuedOn = true
		return j
	}
	w := &waiter{peer: client, job: j}
	w.byPeer.v, w.byJob.v = w, w
	client.waits.pushFront(&w.byPeer)
	j.waiters.pushBack(&w.byJob)
	return j
}

func (q *queue) perlFind(f *function, unique string) *job {
	for j := q.byUnique[unique]; j != nil; j = j.sameUnique {
		if j.fn == f {
			return j
		}
	}
	return nil
}

// perlMakeRoom fails the newest jobs of a full queue to make room for the next one.
func (q *queue) perlMakeRoom(f *function) {
	if f.limit[normal] == 0 {
		return
	}
	l := &f.lines[normal]
	for l.n > f.limit[normal]-1 && l.tail != nil {
		last := l.tail
		var before *job
		for j := l.head; j != last; j = j.inLine {
			before = j
		}
		l.remove(before, last)
		f.queued--
		q.tellFail(last)
		q.free(last)
	}
}

// toFront moves the line's last job to its start.
func (l *line) toFront(j *job) {
	before := l.head
	for before.inLine != j {
		before = before.inLine
	}
	l.remove(before, j)
	j.inLine = l.head
	l.head = j
	l.n++
}

func (q *queue) perlStatus(p *peer, handle []byte) {
	j := q.byHandle[string(handle)]
	var progress [2]string
	if j != nil && j.progress != nil {
		progress = *j.progress
	}
	q.put(
		p, proto.TypeStatusRes, string(handle), flag(j != nil), flag(j != nil && j.worker != nil), progress[0],
		progress[1],
	)
}

func (q *queue) perlCantDo(p *peer, name []byte) {
	for n := p.regs.front; n != nil; n = n.next {
		if n.v.fn.name == string(name) {
			q.forget(n.v)
			return
		}
	}
}

// forget removes a registration, and moves its running jobs to a separate registration that is not
// in any list.
func (q *queue) forget(r *registration) {
	rest := &registration{peer: r.peer, fn: r.fn, held: r.held}
	for j := r.held; j != nil; j = j.held.next {
		j.worker = rest
	}
	r.held = nil
	q.unregister(r)
}

func (q *queue) forgetAll(p *peer) {
	for p.regs.front != nil {
		q.forget(p.regs.front.v)
	}
}

// perlSleep wakes the peer at once if one of the functions has a queue. This includes a queue that
// was emptied since, and not polled again.
func (q *queue) perlSleep(p *peer) {
	p.sleeping = true
	for n := p.regs.front; n != nil; n = n.next {
		if n.v.fn.asked {
			q.sendNoop(p)
			p.sleeping = false
			return
		}
	}
}

func (q *queue) perlRing(f *function) {
	wake := q.rules.wakeup
	if wake == 0 {
		wake = perlWakeup
	}
	if f.next == nil {
		return
	}
	sent := 0
	for r := f.next; sent < wake; {
		if r.peer.sleeping {
			q.sendNoop(r.peer)
			r.peer.sleeping = false
			sent++
		}
		if r = r.ringNext; r == f.next {
			return
		}
	}
	if q.rules.wakeup == 0 {
		_ = q.later(perlWakeupDelayMS, func() {
			if f.queued > 0 {
				q.perlRing(f)
			}
		})
	}
}

func (q *queue) perlGrab(p *peer) {
	// The functions take turns: the first one is polled last the next time.
	if n := p.regs.front; n != nil {
		p.regs.remove(n)
		p.regs.pushBack(n)
	}
	for n := p.regs.front; n != nil; n = n.next {
		f := n.v.fn
		for l := &f.lines[normal]; l.head != nil; {
			j := l.head
			l.remove(nil, j)
			f.queued--
			if !j.queuedOn && j.waiters.front == nil {
				q.free(j)
				continue
			}
			q.assign(n.v, j)
			p.out = proto.AppendJobAssign(p.out, j.handle, f.name, j.data)
			q.touch(p)
			if ms := n.v.timeoutMS; ms > 0 {
				p.alarm = alarm{job: j, stop: q.later(ms, func() { q.perlExpired(p, j) })}
			}
			return
		}
		f.asked = false
	}
	q.put(p, proto.TypeNoJob)
}

func (q *queue) perlWork(p *peer, r *request) {
	handle := r.args[0]
	if r.typ == proto.TypeWorkStatus {
		if i := bytes.IndexByte(handle, 0); i >= 0 {
			handle = handle[:i]
		}
	}
	j := q.running(p, handle)
	if j == nil {
		q.refuse(p, "not_worker", "")
		return
	}
	for w := j.waiters.front; w != nil; w = w.next {
		switch {
		case r.typ == proto.TypeWorkException && !w.v.peer.exceptions:
		case r.typ == proto.TypeWorkStatus:
			q.put(w.v.peer, r.typ, string(handle), string(r.args[1]), string(r.args[2]))
		case r.typ == proto.TypeWorkFail:
			q.put(w.v.peer, r.typ, string(handle))
		default:
			w.v.peer.out = proto.AppendWork(w.v.peer.out, proto.Response, r.typ, handle, r.data)
			q.touch(w.v.peer)
		}
	}
	switch r.typ {
	case proto.TypeWorkStatus:
		j.progress = &[2]string{string(r.args[1]), string(r.args[2])}
	case proto.TypeWorkComplete, proto.TypeWorkFail:
		q.free(j)
	}
}

// perlDisconnect fails the jobs that the peer was running. A job that it waited for is dropped when
// a worker polls for it, unless others wait too.
func (q *queue) perlDisconnect(p *peer) {
	p.sleeping = false
	q.clearAlarm(p)
	for n := q.jobs.front; n != nil; {
		j := n.v
		n = n.next
		if j.worker != nil && j.worker.peer == p {
			q.tellFail(j)
			q.free(j)
		}
	}
	q.forgetAll(p)
	for w := p.waits.front; w != nil; w = p.waits.front {
		p.waits.remove(w)
		w.v.job.waiters.remove(&w.v.byJob)
	}
	q.peers.remove(&p.node)
}

// perlExpired fails a job whose CAN_DO_TIMEOUT has expired.
func (q *queue) perlExpired(p *peer, j *job) {
	if p.alarm.job == j && j.worker != nil && j.worker.peer == p {
		q.tellFail(j)
		q.free(j)
	}
}

// perlFrame is nextFrame for this dialect: there are no limits, data that it can't parse stays in
// the buffer for good, and a request may have any number of arguments.
func perlFrame(b []byte, r *request) (kind frameKind, size, want int) {
	if b[0] != 0 {
		i := bytes.IndexByte(b, '\n')
		switch {
		case i < 0:
			return frameNone, 0, len(b) + 1
		case len(bytes.TrimSuffix(b[:i], []byte("\r"))) == 0:
			return frameText, i + 1, 0
		}
		if word, _ := cutWord(string(b[:min(i, 1)])); i < 2 || word == "" {
			return frameShort, len(b), 0
		}
		return frameText, i + 1, 0
	}
	if len(b) < proto.HeaderSize {
		return frameNone, 0, proto.HeaderSize
	}
	if string(b[1:4]) != "REQ" {
		return frameShort, len(b), 0
	}
	*r = request{typ: proto.Type(binary.BigEndian.Uint32(b[4:]))}
	end := proto.HeaderSize + int(binary.BigEndian.Uint32(b[8:]))
	if len(b) < end {
		return frameNone, 0, end
	}
	r.body = b[proto.HeaderSize:end]
	rest, open := r.body, hasData(r.typ)
	for n := r.typ.NumArgs(); n > 1; n-- {
		i := bytes.IndexByte(rest, 0)
		if i < 0 {
			break
		}
		r.args[r.n], rest = rest[:i:i], rest[i+1:]
		r.n++
	}
	if r.data = rest; !open {
		r.args[r.n] = rest
	}
	return framePacket, end, 0
}
