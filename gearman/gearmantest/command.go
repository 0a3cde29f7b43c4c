package gearmantest

import (
	"bytes"
	"errors"
	"strconv"
	"strings"

	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

// The limits of gearmand, in bytes.
const (
	maxUnique   = 64 // longer keys are refused; see maxKept for keys of just this length
	maxHandle   = 63
	maxClientID = 127 // longer ids are truncated
)

// stuck is the state of a connection after a request that gearmand mishandles.
type stuck uint8

const (
	flowing    stuck = iota
	deaf             // reads and discards everything, never responds
	closesNext       // closes when more bytes arrive
)

// A request is one decoded binary packet.
type request struct {
	typ  proto.Type
	res  bool // it had the magic of a response
	args [8][]byte
	n    int
	data []byte
	body []byte // Perl: all of the above, undecoded
}

// put appends a response to a peer's output.
func (q *queue) put(p *peer, t proto.Type, args ...string) {
	size := max(len(args)-1, 0)
	for _, a := range args {
		size += len(a)
	}
	p.out = proto.AppendHeader(p.out, proto.Response, t, uint32(size))
	for i, a := range args {
		if i > 0 {
			p.out = append(p.out, 0)
		}
		p.out = append(p.out, a...)
	}
	q.touch(p)
}

// touch records that there is something to send to p.
func (q *queue) touch(p *peer) {
	if !p.dirty {
		p.dirty = true
		q.dirty = append(q.dirty, p)
	}
}

func (q *queue) sendNoop(p *peer) { q.put(p, proto.TypeNoop) }

func (q *queue) tellFail(j *job) {
	for w := j.waiters.front; w != nil; w = w.next {
		q.put(w.v.peer, proto.TypeWorkFail, j.handle)
	}
}

func (q *queue) refuse(p *peer, code, text string) { q.put(p, proto.TypeError, code, text) }

var priorityOf = map[proto.Type]priority{
	proto.TypeSubmitJobHigh: high, proto.TypeSubmitJobHighBG: high,
	proto.TypeSubmitJobLow: low, proto.TypeSubmitJobLowBG: low,
	proto.TypeSubmitJob: normal, proto.TypeSubmitJobBG: normal, proto.TypeSubmitJobEpoch: normal,
	proto.TypeSubmitReduceJob: normal, proto.TypeSubmitReduceBG: normal,
}

// handle processes one request.
func (q *queue) handle(p *peer, r *request) {
	if q.rules.perl {
		q.perlHandle(p, r)
		return
	}
	if r.res {
		q.refuse(p, proto.CodeInvalidMagic, "Request magic expected")
		return
	}
	switch r.typ {
	case proto.TypeEchoReq:
		p.out = proto.AppendPacket(p.out, proto.Response, proto.TypeEchoRes, r.data)
		q.touch(p)
	case proto.TypeSubmitJob, proto.TypeSubmitJobBG, proto.TypeSubmitJobHigh, proto.TypeSubmitJobHighBG,
		proto.TypeSubmitJobLow,
		proto.TypeSubmitJobLowBG, proto.TypeSubmitJobEpoch, proto.TypeSubmitReduceJob, proto.TypeSubmitReduceBG:
		q.handleSubmit(p, r)
	case proto.TypeGetStatus:
		q.handleStatus(p, r.args[0])
	case proto.TypeGetStatusUnique:
		q.handleStatusUnique(p, r.args[0])
	case proto.TypeOptionReq:
		if !strings.EqualFold(cString(r.args[0]), "exceptions") {
			q.refuse(p, proto.CodeUnknownOption, "Server does not recognize given option")
			return
		}
		p.exceptions = true
		q.put(p, proto.TypeOptionRes, string(r.args[0]))
	case proto.TypeCanDo:
		q.canDo(p, r.args[0], 0)
	case proto.TypeCanDoTimeout:
		q.handleCanDoTimeout(p, r)
	case proto.TypeCantDo:
		q.cantDo(p, r.args[0])
	case proto.TypeResetAbilities:
		q.resetAbilities(p)
	case proto.TypePreSleep:
		if q.runnable(p) {
			q.sendNoop(p)
			return
		}
		p.sleeping = true
		q.clearAlarm(p)
	case proto.TypeGrabJob, proto.TypeGrabJobUniq, proto.TypeGrabJobAll:
		q.handleGrab(p, r.typ)
	case proto.TypeWorkData, proto.TypeWorkWarning, proto.TypeWorkStatus, proto.TypeWorkComplete,
		proto.TypeWorkException, proto.TypeWorkFail:
		q.handleWork(p, r)
	case proto.TypeSetClientID:
		id := r.args[0]
		p.id = cString(id[:min(len(id), maxClientID)])
	default:
		q.refuse(p, proto.CodeInvalidCommand, "Command not expected")
	}
}

func (q *queue) handleSubmit(p *peer, r *request) {
	s := submission{function: r.args[0], unique: r.args[1], data: r.data, prio: priorityOf[r.typ]}
	longest := s.unique
	switch r.typ {
	case proto.TypeSubmitJobEpoch:
		when, err := parseLong(r.args[2])
		if err != nil {
			return // gearmand logs it and never responds
		}
		s.when = when
	case proto.TypeSubmitReduceJob, proto.TypeSubmitReduceBG:
		s.reducer = r.args[2]
		longest = s.reducer // gearmand checks the reducer's length instead of the key's
	}
	if len(longest) > maxUnique {
		q.refuse(p, proto.CodeArgumentTooLarge, "Unique value too large")
		return
	}
	client := p
	if r.typ.IsBackground() {
		client = nil
	}
	j := q.submit(s, client)
	if j == nil {
		q.refuse(p, proto.CodeQueueError, "Job queue is full")
		return
	}
	q.put(p, proto.TypeJobCreated, j.handle)
}

func (q *queue) handleStatus(p *peer, arg []byte) {
	if len(arg) > maxHandle {
		return // no response
	}
	handle := cString(arg)
	j := q.byHandle[handle]
	if j == nil {
		q.put(p, proto.TypeStatusRes, handle, "0", "0", "0", "0")
		return
	}
	q.put(p, proto.TypeStatusRes, handle, "1", flag(j.worker != nil), decimal(j.numerator), decimal(j.denom))
}

func (q *queue) handleStatusUnique(p *peer, arg []byte) {
	switch {
	case len(arg) == maxUnique:
		p.stuck = closesNext
		return
	case len(arg) > maxUnique:
		return // no response
	}
	unique := cString(arg)
	j := q.byUnique[unique]
	if j == nil {
		q.put(p, proto.TypeStatusResUnique, unique, "0", "0", "0", "0", "0")
		return
	}
	q.put(
		p, proto.TypeStatusResUnique, unique, "1", flag(j.worker != nil), decimal(j.numerator), decimal(j.denom),
		strconv.Itoa(j.waiters.n),
	)
}

// longestTimeout is the longest number that gearmand reads in CAN_DO_TIMEOUT; it silently ignores
// longer ones.
const longestTimeout = 23

func (q *queue) handleCanDoTimeout(p *peer, r *request) {
	if len(r.args[1]) > longestTimeout {
		return
	}
	ms, err := parseLong(r.args[1])
	switch {
	case err != nil:
		p.stuck = closesNext
		return
	case ms == 1<<63-1 || ms == -1<<63:
		return
	}
	q.canDo(p, r.args[0], ms)
}

func (q *queue) handleGrab(p *peer, t proto.Type) {
	p.sleeping, p.rung = false, false
	j := q.take(p)
	if j == nil {
		q.put(p, proto.TypeNoJob)
		return
	}
	unique := j.unique
	if j.uniqueLen > maxKept {
		unique += "\x00" // gearmand counts the byte that it cut off
	}
	switch {
	case t == proto.TypeGrabJobAll && j.reducer != "":
		p.out = proto.AppendJobAssignAll(p.out, j.handle, j.fn.name, unique, j.reducer, j.data)
	case t == proto.TypeGrabJob:
		p.out = proto.AppendJobAssign(p.out, j.handle, j.fn.name, j.data)
	default:
		p.out = proto.AppendJobAssignUniq(p.out, j.handle, j.fn.name, unique, j.data)
	}
	q.touch(p)
	q.startAlarm(p, j)
}

func (q *queue) handleWork(p *peer, r *request) {
	handle := r.args[0]
	if r.typ == proto.TypeWorkFail && len(handle) > maxHandle {
		q.refuse(
			p, proto.CodeArgumentTooLarge,
			"Error occurred due to GEARMAND_JOB_HANDLE_SIZE being too small from snprintf",
		)
		return
	}
	if i := bytes.IndexByte(handle, 0); i >= 0 {
		handle = handle[:i]
	}
	j := q.running(p, handle)
	if j == nil {
		text := "Job given in work result not found"
		switch r.typ {
		case proto.TypeWorkData, proto.TypeWorkWarning:
			text = "Job does not exist on server"
		case proto.TypeWorkException:
			text = "An exception was received for a job that does not exist"
		}
		q.refuse(p, proto.CodeJobNotFound, text)
		return
	}
	switch r.typ {
	case proto.TypeWorkStatus:
		q.handleProgress(p, j, r)
		return
	case proto.TypeWorkFail:
		for w := j.waiters.front; w != nil; w = w.next {
			q.put(w.v.peer, proto.TypeWorkFail, string(r.args[0]))
		}
	default:
		for w := j.waiters.front; w != nil; w = w.next {
			if r.typ == proto.TypeWorkException && !w.v.peer.exceptions {
				q.put(w.v.peer, proto.TypeWorkFail, j.handle, "") // with the NUL that gearmand leaves there
				continue
			}
			w.v.peer.out = proto.AppendWork(w.v.peer.out, proto.Response, r.typ, handle, r.data)
			q.touch(w.v.peer)
		}
	}
	if r.typ.IsFinal() {
		q.free(j)
	}
}

// handleProgress stores the numbers as the 32 bits that C's atoi returns, and passes the text on
// unchanged.
func (q *queue) handleProgress(p *peer, j *job, r *request) {
	const kept = 10 // bytes of the denominator that are read
	j.numerator = atoi(r.args[1])
	if len(r.args[2]) > kept+1 {
		p.stuck = closesNext
		return
	}
	j.denom = atoi(r.args[2][:min(len(r.args[2]), kept)])
	for w := j.waiters.front; w != nil; w = w.next {
		q.put(w.v.peer, proto.TypeWorkStatus, string(r.args[0]), string(r.args[1]), string(r.args[2]))
	}
}

func cString(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(b)
}

func flag(b bool) string {
	if b {
		return "1"
	}
	return "0"
}

func decimal(n uint32) string { return strconv.FormatUint(uint64(n), 10) }

// number returns the start of b that C's strtol parses: blanks, a sign, digits.
func number(b []byte) string {
	b = bytes.TrimLeft(b, " \t\n\v\f\r")
	end := 0
	if end < len(b) && (b[0] == '-' || b[0] == '+') {
		end++
	}
	for end < len(b) && b[end] >= '0' && b[end] <= '9' {
		end++
	}
	return string(b[:end])
}

// parseLong parses b as C's strtoll does: text that is no number is 0, a number out of range is an
// error.
func parseLong(b []byte) (int64, error) {
	n, err := strconv.ParseInt(number(b), 10, 64)
	if errors.Is(err, strconv.ErrRange) {
		return 0, err
	}
	return n, nil
}

// atoi parses b as glibc's atoi does: a number that is too long for 64 bits becomes the largest
// one, and the low 32 bits are kept.
func atoi(b []byte) uint32 {
	n, _ := strconv.ParseInt(number(b), 10, 64)
	return uint32(n)
}
