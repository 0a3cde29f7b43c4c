package proto

import (
	"bytes"
	"fmt"
	"time"
)

// Packet is one packet of the binary protocol. Data is a slice of what was read: it is valid until the reader's next call.
type Packet struct {
	Dir  Direction
	Type Type
	Data []byte
}

// Append appends the packet as it goes over the wire.
func (p Packet) Append(dst []byte) []byte { return AppendPacket(dst, p.Dir, p.Type, p.Data) }

// String names the packet for logs: its type and size, never its content.
func (p Packet) String() string { return fmt.Sprintf("%s %s (%d bytes)", p.Dir, p.Type, len(p.Data)) }

// Args appends the packet's arguments to dst, the data of types that carry any last, and says if there are too few. With a dst of
// capacity 8 nothing is allocated.
func (p Packet) Args(dst [][]byte) ([][]byte, error) {
	n := p.Type.NumArgs()
	rest := p.Data
	for range n - 1 {
		arg, tail, ok := bytes.Cut(rest, nul)
		if !ok {
			return dst, p.errArgs("too few arguments")
		}
		dst, rest = append(dst, arg), tail
	}
	if n > 0 {
		dst = append(dst, rest)
	} else if len(p.Data) > 0 {
		return dst, p.errArgs("data where none belongs")
	}
	return dst, nil
}

var nul = []byte{0}

func (p Packet) errArgs(what string) error {
	return fmt.Errorf("%s of %d bytes: %s: %w", p.Type, len(p.Data), what, ErrArguments)
}

func (p Packet) errType(want string) error {
	return fmt.Errorf("%s %s where %s was expected: %w", p.Dir, p.Type, want, ErrType)
}

// cut takes the next argument off rest; ok turns false for good once one is missing.
func cut(rest *[]byte, ok *bool) []byte {
	i := bytes.IndexByte(*rest, 0)
	if i < 0 {
		*ok = false
		return nil
	}
	arg := (*rest)[:i:i]
	*rest = (*rest)[i+1:]
	return arg
}

// Arg gives the single argument of CAN_DO, CANT_DO, SET_CLIENT_ID, GET_STATUS, GET_STATUS_UNIQUE, JOB_CREATED, WORK_FAIL, OPTION_REQ,
// OPTION_RES, ECHO_REQ and ECHO_RES. A NUL at the end is taken off, except off echoed data: gearmand sends one in the WORK_FAIL that
// it makes of an exception.
func (p Packet) Arg() ([]byte, error) {
	if p.Type.NumArgs() != 1 {
		return nil, p.errType("a packet with one argument")
	}
	if p.Type == TypeEchoReq || p.Type == TypeEchoRes {
		return p.Data, nil
	}
	arg, tail, _ := bytes.Cut(p.Data, nul)
	if len(tail) > 0 {
		return nil, p.errArgs("more than one argument")
	}
	return arg, nil
}

// Submission is what SUBMIT_JOB and its kin carry.
type Submission struct {
	Type     Type // which of them
	Function []byte
	Unique   []byte // empty: none
	Data     []byte
	// At is when the job may start (SUBMIT_JOB_EPOCH); zero otherwise.
	At time.Time
	// Reducer and Aggregate are for the two reduce types only.
	Reducer, Aggregate []byte
	// Schedule is for SUBMIT_JOB_SCHED only.
	Schedule Schedule[[]byte]
}

// Submission decodes one of the packets that submit a job.
func (p Packet) Submission() (Submission, error) {
	if !p.Type.IsSubmit() {
		return Submission{}, p.errType("a submission")
	}
	rest, ok := p.Data, true
	s := Submission{Type: p.Type, Function: cut(&rest, &ok), Unique: cut(&rest, &ok)}
	switch p.Type {
	case TypeSubmitJobEpoch:
		epoch := cut(&rest, &ok)
		if !ok {
			break
		}
		n, valid := parseInt(epoch)
		if !valid {
			return Submission{}, p.errArgs("the epoch is not a number")
		}
		s.At = time.Unix(n, 0)
	case TypeSubmitReduceJob, TypeSubmitReduceBG:
		s.Reducer, s.Aggregate = cut(&rest, &ok), cut(&rest, &ok)
	case TypeSubmitJobSched:
		s.Schedule = Schedule[[]byte]{
			Minute: cut(&rest, &ok), Hour: cut(&rest, &ok), Day: cut(&rest, &ok), Month: cut(&rest, &ok), Weekday: cut(&rest, &ok),
		}
	}
	if !ok {
		return Submission{}, p.errArgs("too few arguments")
	}
	s.Data = rest
	return s, nil
}

// Assignment is a job given to a worker.
type Assignment struct {
	Handle   []byte
	Function []byte
	Unique   []byte // not told by JOB_ASSIGN
	Reducer  []byte // told by JOB_ASSIGN_ALL only
	Data     []byte
}

// Assignment decodes JOB_ASSIGN, JOB_ASSIGN_UNIQ or JOB_ASSIGN_ALL.
func (p Packet) Assignment() (Assignment, error) {
	rest, ok := p.Data, true
	a := Assignment{}
	switch p.Type {
	case TypeJobAssign:
		a.Handle, a.Function = cut(&rest, &ok), cut(&rest, &ok)
	case TypeJobAssignUniq:
		a.Handle, a.Function, a.Unique = cut(&rest, &ok), cut(&rest, &ok), cut(&rest, &ok)
	case TypeJobAssignAll:
		a.Handle, a.Function, a.Unique, a.Reducer = cut(&rest, &ok), cut(&rest, &ok), cut(&rest, &ok), cut(&rest, &ok)
	default:
		return a, p.errType("a job")
	}
	if !ok {
		return Assignment{}, p.errArgs("too few arguments")
	}
	a.Data = rest
	return a, nil
}

// Work is what a worker tells about a job.
type Work struct {
	Type   Type
	Handle []byte
	Data   []byte // none for WORK_FAIL and WORK_STATUS
	// Numerator and Denominator are the text of WORK_STATUS, as the worker wrote it: servers pass on what is no number, too.
	Numerator, Denominator []byte
}

// Work decodes WORK_COMPLETE, WORK_FAIL, WORK_EXCEPTION, WORK_DATA, WORK_WARNING or WORK_STATUS.
func (p Packet) Work() (Work, error) {
	rest, ok := p.Data, true
	w := Work{Type: p.Type}
	switch p.Type {
	case TypeWorkComplete, TypeWorkException, TypeWorkData, TypeWorkWarning:
		w.Handle = cut(&rest, &ok)
		w.Data = rest
	case TypeWorkFail: // workers send what they like behind the handle, and gearmand passes it on
		w.Handle, _, _ = bytes.Cut(p.Data, nul)
		return w, nil
	case TypeWorkStatus:
		w.Handle, w.Numerator = cut(&rest, &ok), cut(&rest, &ok)
		w.Denominator, _, _ = bytes.Cut(rest, nul)
	default:
		return w, p.errType("a packet about a job's work")
	}
	if !ok {
		return Work{}, p.errArgs("too few arguments")
	}
	return w, nil
}

// Progress reads the numbers of a WORK_STATUS; ok is false where the worker didn't send whole numbers.
func (w Work) Progress() (numerator, denominator uint64, ok bool) {
	n, ok1 := parseUint(w.Numerator)
	d, ok2 := parseUint(w.Denominator)
	return n, d, ok1 && ok2
}

// Timeout is what CAN_DO_TIMEOUT carries.
type Timeout struct {
	Function []byte
	Text     []byte // the decimal number, in the server's unit
}

// Timeout decodes CAN_DO_TIMEOUT.
func (p Packet) Timeout() (Timeout, error) {
	if p.Type != TypeCanDoTimeout {
		return Timeout{}, p.errType("CAN_DO_TIMEOUT")
	}
	rest, ok := p.Data, true
	t := Timeout{Function: cut(&rest, &ok)}
	if !ok {
		return Timeout{}, p.errArgs("too few arguments")
	}
	t.Text = rest
	return t, nil
}

// Status is the state of a job as STATUS_RES and STATUS_RES_UNIQUE give it.
type Status struct {
	Key                    []byte // the handle; in STATUS_RES_UNIQUE the unique key
	Known, Running         bool
	Numerator, Denominator uint64
	Clients                uint64 // how many clients wait; STATUS_RES_UNIQUE only
}

// Status decodes STATUS_RES or STATUS_RES_UNIQUE.
func (p Packet) Status() (Status, error) {
	if p.Type != TypeStatusRes && p.Type != TypeStatusResUnique {
		return Status{}, p.errType("a job's status")
	}
	rest, ok := p.Data, true
	s := Status{Key: cut(&rest, &ok)}
	known, running, num := cut(&rest, &ok), cut(&rest, &ok), cut(&rest, &ok)
	den := rest
	if p.Type == TypeStatusResUnique {
		den = cut(&rest, &ok)
	}
	if !ok {
		return Status{}, p.errArgs("too few arguments")
	}
	valid := true
	s.Known = boolean(known, &valid)
	s.Running = boolean(running, &valid)
	s.Numerator, s.Denominator = leadingUint(num), leadingUint(den)
	if p.Type == TypeStatusResUnique {
		s.Clients = number(rest, &valid)
	}
	if !valid {
		return Status{}, p.errArgs("a field is not a number")
	}
	return s, nil
}

// ServerError is an ERROR packet. It is an error itself.
type ServerError struct {
	Code, Text string
}

// Error gives the server's words.
func (e *ServerError) Error() string {
	if e.Text == "" {
		return "server error " + e.Code
	}
	return fmt.Sprintf("server error %s: %q", e.Code, e.Text)
}

// Codes of gearmand's ERROR packets.
const (
	CodeInvalidMagic     = "INVALID_MAGIC"
	CodeInvalidCommand   = "INVALID_COMMAND"
	CodeUnknownOption    = "UNKNOWN_OPTION"
	CodeJobNotFound      = "JOB_NOT_FOUND"
	CodeArgumentTooLarge = "ARGUMENT_TOO_LARGE"
	CodeQueueError       = "QUEUE_ERROR"
)

// ServerError decodes ERROR into an error value of its own memory.
func (p Packet) ServerError() (*ServerError, error) {
	if p.Type != TypeError {
		return nil, p.errType("ERROR")
	}
	code, text, _ := bytes.Cut(p.Data, nul)
	return &ServerError{Code: string(code), Text: string(text)}, nil
}

// leadingUint reads the digits that b starts with: Perl's server leaves the progress of a job empty until there is one, and passes on
// what a worker wrote.
func leadingUint(b []byte) uint64 {
	end := 0
	for end < len(b) && b[end] >= '0' && b[end] <= '9' {
		end++
	}
	n, _ := parseUint(b[:end])
	return n
}

func boolean(b []byte, valid *bool) bool { return number(b, valid) != 0 }

func number(b []byte, valid *bool) uint64 {
	n, ok := parseUint(b)
	*valid = *valid && ok
	return n
}

// parseUint reads a decimal number that fills b. It is strconv's without the string.
func parseUint(b []byte) (uint64, bool) {
	if len(b) == 0 || len(b) > 20 {
		return 0, false
	}
	var n uint64
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		d := uint64(c - '0')
		if n > (1<<64-1-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	return n, true
}

func parseInt(b []byte) (int64, bool) {
	neg := len(b) > 0 && b[0] == '-'
	if neg {
		b = b[1:]
	}
	n, ok := parseUint(b)
	if !ok || n > 1<<63-1 {
		return 0, false
	}
	if neg {
		return -int64(n), true
	}
	return int64(n), true
}
