package proto

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/internal/check"
)

// packets returns one well-formed packet of every type, made by its encoder.
func packets() map[Type][]byte {
	h := []byte("H:host:1")
	st := Status{Key: h, Known: true, Running: true, Numerator: 3, Denominator: 10}
	stu := st
	stu.Key, stu.Clients = []byte("key"), 2
	return map[Type][]byte{
		TypeCanDo:           AppendCanDo(nil, "resize"),
		TypeCantDo:          AppendCantDo(nil, "resize"),
		TypeResetAbilities:  AppendEmpty(nil, Request, TypeResetAbilities),
		TypePreSleep:        AppendEmpty(nil, Request, TypePreSleep),
		TypeNoop:            AppendEmpty(nil, Response, TypeNoop),
		TypeSubmitJob:       AppendSubmit(nil, TypeSubmitJob, "f", "u", "a\x00b"),
		TypeJobCreated:      AppendJobCreated(nil, h),
		TypeGrabJob:         AppendEmpty(nil, Request, TypeGrabJob),
		TypeNoJob:           AppendEmpty(nil, Response, TypeNoJob),
		TypeJobAssign:       AppendJobAssign(nil, h, "f", "a\x00b"),
		TypeWorkStatus:      AppendWorkStatus(nil, Request, h, 3, 10),
		TypeWorkComplete:    AppendWork(nil, Request, TypeWorkComplete, h, "r\x00"),
		TypeWorkFail:        AppendWorkFail(nil, Response, h),
		TypeGetStatus:       AppendGetStatus(nil, h),
		TypeEchoReq:         AppendEcho(nil, Request, "x\x00y"),
		TypeEchoRes:         AppendEcho(nil, Response, "x\x00"),
		TypeSubmitJobBG:     AppendSubmit(nil, TypeSubmitJobBG, "f", "", ""),
		TypeError:           AppendError(nil, CodeQueueError, "Job queue is full"),
		TypeStatusRes:       AppendStatusRes(nil, st),
		TypeSubmitJobHigh:   AppendSubmit(nil, TypeSubmitJobHigh, "f", "-", "d"),
		TypeSetClientID:     AppendSetClientID(nil, "id"),
		TypeCanDoTimeout:    AppendCanDoTimeout(nil, "f", 1500*time.Millisecond),
		TypeAllYours:        AppendEmpty(nil, Request, TypeAllYours),
		TypeWorkException:   AppendWork(nil, Response, TypeWorkException, h, "boom"),
		TypeOptionReq:       AppendOption(nil, Request, "exceptions"),
		TypeOptionRes:       AppendOption(nil, Response, "exceptions"),
		TypeWorkData:        AppendWork(nil, Response, TypeWorkData, h, ""),
		TypeWorkWarning:     AppendWork(nil, Request, TypeWorkWarning, h, "w"),
		TypeGrabJobUniq:     AppendEmpty(nil, Request, TypeGrabJobUniq),
		TypeJobAssignUniq:   AppendJobAssignUniq(nil, h, "f", "", "d"),
		TypeSubmitJobHighBG: AppendSubmit(nil, TypeSubmitJobHighBG, "f", "u", "d"),
		TypeSubmitJobLow:    AppendSubmit(nil, TypeSubmitJobLow, "f", "u", "d"),
		TypeSubmitJobLowBG:  AppendSubmit(nil, TypeSubmitJobLowBG, "f", "u", "d"),
		TypeSubmitJobSched:  AppendSubmitSched(nil, "f", "u", Schedule[string]{"1", "2", "", "4", "5"}, "d"),
		TypeSubmitJobEpoch:  AppendSubmitEpoch(nil, "f", "u", time.Unix(1234567890, 0), "d"),
		TypeSubmitReduceJob: AppendSubmitReduce(nil, TypeSubmitReduceJob, "f", "u", "r", "a", "d"),
		TypeSubmitReduceBG:  AppendSubmitReduce(nil, TypeSubmitReduceBG, "f", "", "r", "", "d"),
		TypeGrabJobAll:      AppendEmpty(nil, Request, TypeGrabJobAll),
		TypeJobAssignAll:    AppendJobAssignAll(nil, h, "f", "u", "r", "d"),
		TypeGetStatusUnique: AppendGetStatusUnique(nil, "key"),
		TypeStatusResUnique: AppendStatusResUnique(nil, stu),
	}
}

func TestEveryTypeRoundTrips(t *testing.T) {
	t.Parallel()
	all := packets()
	for typ := Type(1); typ <= maxType; typ++ {
		if !typ.Known() {
			continue
		}
		wire, ok := all[typ]
		if !ok {
			t.Errorf("%s has no encoder in this test", typ)
			continue
		}
		p, err := NewReader(iotest.OneByteReader(bytes.NewReader(wire)), Limits{}).Next()
		if err != nil {
			t.Errorf("%s: %v", typ, err)
			continue
		}
		if p.Type != typ || !typ.SentBy(p.Dir) {
			t.Errorf("%s came back as %s", typ, p)
		}
		args, err := p.Args(nil)
		if err != nil || len(args) != typ.NumArgs() {
			t.Errorf("%s: Args = %q, %v, want %d", typ, args, err, typ.NumArgs())
		}
		again, err := reencode(p)
		if err != nil {
			t.Errorf("%s: %v", typ, err)
		} else if diff := check.Diff(wire, again); diff != "" {
			t.Errorf("%s decoded and encoded again (-first +second):\n%s", typ, diff)
		}
	}
}

// reencode decodes a packet with the decoder of its type and encodes the result.
func reencode(p Packet) ([]byte, error) {
	switch {
	case p.Type.NumArgs() == 0:
		if _, err := p.Args(nil); err != nil {
			return nil, err
		}
		return AppendEmpty(nil, p.Dir, p.Type), nil
	case p.Type.IsSubmit():
		s, err := p.Submission()
		switch {
		case err != nil:
			return nil, err
		case p.Type == TypeSubmitJobEpoch:
			return AppendSubmitEpoch(nil, s.Function, s.Unique, s.At, s.Payload), nil
		case p.Type == TypeSubmitJobSched:
			return AppendSubmitSched(nil, s.Function, s.Unique, s.Schedule, s.Payload), nil
		case p.Type == TypeSubmitReduceJob || p.Type == TypeSubmitReduceBG:
			return AppendSubmitReduce(nil, p.Type, s.Function, s.Unique, s.Reducer, s.Aggregate, s.Payload), nil
		}
		return AppendSubmit(nil, p.Type, s.Function, s.Unique, s.Payload), nil
	}
	switch p.Type {
	case TypeJobAssign, TypeJobAssignUniq, TypeJobAssignAll:
		a, err := p.Assignment()
		switch {
		case err != nil:
			return nil, err
		case p.Type == TypeJobAssign:
			return AppendJobAssign(nil, a.Handle, a.Function, a.Payload), nil
		case p.Type == TypeJobAssignUniq:
			return AppendJobAssignUniq(nil, a.Handle, a.Function, a.Unique, a.Payload), nil
		}
		return AppendJobAssignAll(nil, a.Handle, a.Function, a.Unique, a.Reducer, a.Payload), nil
	case TypeWorkStatus:
		w, err := p.Work()
		if err != nil {
			return nil, err
		}
		n, d, ok := w.Progress()
		if !ok {
			return nil, ErrArguments
		}
		return AppendWorkStatus(nil, p.Dir, w.Handle, n, d), nil
	case TypeWorkFail:
		w, err := p.Work()
		return AppendWorkFail(nil, p.Dir, w.Handle), err
	case TypeWorkComplete, TypeWorkData, TypeWorkWarning, TypeWorkException:
		w, err := p.Work()
		if err != nil {
			return nil, err
		}
		return AppendWork(nil, p.Dir, p.Type, w.Handle, w.Data), nil
	case TypeCanDoTimeout:
		to, err := p.Timeout()
		if err != nil {
			return nil, err
		}
		ms, ok := parseInt(to.Text)
		if !ok {
			return nil, ErrArguments
		}
		return AppendCanDoTimeout(nil, to.Function, time.Duration(ms)*time.Millisecond), nil
	case TypeStatusRes:
		s, err := p.Status()
		return AppendStatusRes(nil, s), err
	case TypeStatusResUnique:
		s, err := p.Status()
		return AppendStatusResUnique(nil, s), err
	case TypeError:
		e, err := p.ServerError()
		if err != nil {
			return nil, err
		}
		return AppendError(nil, e.Code, e.Text), nil
	}
	arg, err := p.Arg()
	return append1(nil, p.Dir, p.Type, arg), err
}

func TestDecodersAllocateNothing(t *testing.T) {
	stream := bytes.Repeat(bytes.Join([][]byte{
		AppendJobAssignUniq(nil, "H:host:1", "f", "u", strings.Repeat("x", 100)),
		AppendWork(nil, Response, TypeWorkComplete, "H:host:1", "result"),
		AppendStatusRes(nil, Status{Key: []byte("H:host:1"), Known: true}),
		AppendJobCreated(nil, "H:host:1"),
	}, nil), 1000)
	src := bytes.NewReader(stream)
	r := NewReader(src, Limits{})
	var args [maxArgs][]byte
	var failed error
	allocs := testing.AllocsPerRun(50, func() {
		src.Reset(stream)
		for range 1000 {
			p, err := r.Next()
			failed = errors.Join(failed, err)
			_, err = p.Assignment()
			failed = errors.Join(failed, err)
			p, err = r.Next()
			failed = errors.Join(failed, err)
			_, err = p.Work()
			failed = errors.Join(failed, err)
			p, err = r.Next()
			failed = errors.Join(failed, err)
			_, err = p.Status()
			failed = errors.Join(failed, err)
			p, err = r.Next()
			failed = errors.Join(failed, err)
			_, err = p.Args(args[:0])
			failed = errors.Join(failed, err)
		}
		r.err = nil // the end of src
	})
	if failed != nil {
		t.Fatal(failed)
	}
	if allocs != 0 {
		t.Errorf("4,000 packets decoded with %v allocations, want 0", allocs)
	}
}

func TestMalformedPackets(t *testing.T) {
	t.Parallel()
	header := func(d Direction, typ Type, size uint32) []byte { return AppendHeader(nil, d, typ, size) }
	tests := map[string]struct {
		in     []byte
		limits Limits
		want   error
	}{
		"nothing":             {in: nil, want: io.EOF},
		"half a header":       {in: header(Request, TypeCanDo, 1)[:7], want: io.ErrUnexpectedEOF},
		"header without data": {in: header(Request, TypeCanDo, 1), want: io.ErrUnexpectedEOF},
		"cut in data":         {in: AppendCanDo(nil, "resize")[:15], want: io.ErrUnexpectedEOF},
		"bad magic":           {in: []byte("\x00XXX\x00\x00\x00\x01\x00\x00\x00\x00"), want: ErrMagic},
		"text":                {in: []byte("ERR UNKNOWN_COMMAND x\r\n"), want: ErrMagic},
		"type 0":              {in: header(Response, 0, 0), want: ErrType},
		"type 43":             {in: header(Response, 43, 0), want: ErrType},
		"larger than limit": {
			in: header(Request, TypeEchoReq, 11), limits: Limits{Packet: 10}, want: ErrTooLarge,
		},
		"4 GiB announced, 1 came": {in: append(header(Request, TypeEchoReq, 200<<20), 'x'), want: io.ErrUnexpectedEOF},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := NewReader(bytes.NewReader(tt.in), tt.limits)
			_, err := r.Next()
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if cap(r.buf) > growStep {
				t.Errorf("a buffer of %d bytes was taken for %d that came", cap(r.buf), len(tt.in))
			}
		})
	}
}

func TestTooFewArguments(t *testing.T) {
	t.Parallel()
	for typ := range packets() {
		if typ.NumArgs() < 2 || typ == TypeError {
			continue
		}
		p := Packet{Dir: Request, Type: typ, Data: []byte("one")}
		if typ.IsSubmit() {
			p.Data = []byte("f\x00u")
		}
		if _, err := reencode(p); !errors.Is(err, ErrArguments) {
			t.Errorf("%s with too few arguments: %v, want ErrArguments", typ, err)
		}
		if _, err := p.Args(nil); !errors.Is(err, ErrArguments) {
			t.Errorf("%s with too few arguments: Args %v, want ErrArguments", typ, err)
		}
	}
}

func TestDecoderOfAnotherType(t *testing.T) {
	t.Parallel()
	p := Packet{Dir: Response, Type: TypeNoop}
	tests := map[string]func() error{
		"Submission":  func() error { _, err := p.Submission(); return err },
		"Assignment":  func() error { _, err := p.Assignment(); return err },
		"Work":        func() error { _, err := p.Work(); return err },
		"Timeout":     func() error { _, err := p.Timeout(); return err },
		"Status":      func() error { _, err := p.Status(); return err },
		"ServerError": func() error { _, err := p.ServerError(); return err },
		"Arg":         func() error { _, err := p.Arg(); return err },
	}
	for name, decode := range tests {
		if err := decode(); !errors.Is(err, ErrType) {
			t.Errorf("%s of a NOOP: %v, want ErrType", name, err)
		}
	}
}

func TestWorkFailMadeOfException(t *testing.T) {
	t.Parallel()
	// gearmand's WORK_FAIL for a client without the exceptions option has a NUL after the handle.
	p := Packet{Dir: Response, Type: TypeWorkFail, Data: []byte("H:vm:24\x00")}
	w, err := p.Work()
	if err != nil || string(w.Handle) != "H:vm:24" {
		t.Errorf("handle %q, %v", w.Handle, err)
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		err error
		bad bool
	}{
		"function":           {err: CheckFunction("resize")},
		"function umlaut":    {err: CheckFunction("größe")},
		"function empty":     {err: CheckFunction(""), bad: true},
		"function blank":     {err: CheckFunction("a b"), bad: true},
		"function newline":   {err: CheckFunction("a\nb"), bad: true},
		"function nul":       {err: CheckFunction("a\x00b"), bad: true},
		"function del":       {err: CheckFunction("a\x7f"), bad: true},
		"function 8000":      {err: CheckFunction(strings.Repeat("f", 8000))},
		"function 8001":      {err: CheckFunction(strings.Repeat("f", 8001)), bad: true},
		"unique none":        {err: CheckUnique("")},
		"unique 63":          {err: CheckUnique(strings.Repeat("u", 63))},
		"unique 64":          {err: CheckUnique(strings.Repeat("u", 64)), bad: true},
		"unique nul":         {err: CheckUnique("a\x00"), bad: true},
		"handle":             {err: CheckHandle("H:h:1")},
		"handle empty":       {err: CheckHandle(""), bad: true},
		"handle 64":          {err: CheckHandle(strings.Repeat("h", 64)), bad: true},
		"handle nul":         {err: CheckHandle("h\x00"), bad: true},
		"id 127":             {err: CheckClientID(strings.Repeat("i", 127))},
		"id 128":             {err: CheckClientID(strings.Repeat("i", 128)), bad: true},
		"id blank":           {err: CheckClientID("my id"), bad: true},
		"id empty":           {err: CheckClientID(""), bad: true},
		"command":            {err: CheckCommand("maxqueue f 1 2 3")},
		"command line end":   {err: CheckCommand("status\nshutdown"), bad: true},
		"command long":       {err: CheckCommand(strings.Repeat("x", 8190)), bad: true},
		"command many words": {err: CheckCommand("maxqueue f 1 2 3 4"), bad: true},
	}
	for name, tt := range tests {
		if got := errors.Is(tt.err, ErrName); got != tt.bad {
			t.Errorf("%s: %v, want an error: %v", name, tt.err, tt.bad)
		}
	}
}
