package gearmantest

import (
	"testing"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

// FuzzRequests feeds any bytes to a server's framing and queue. Nothing may panic, no request may
// use more bytes than there are, the counts must stay right, and the responses must be well formed.
func FuzzRequests(f *testing.F) {
	job := proto.AppendSubmit(nil, proto.TypeSubmitJob, "f", "u", "data")
	job = proto.AppendCanDo(job, "f")
	job = proto.AppendEmpty(job, proto.Request, proto.TypeGrabJobAll)
	f.Add(proto.AppendWork(job, proto.Request, proto.TypeWorkException, "H:t:1", "out"))
	f.Add(proto.AppendEmpty(job, proto.Request, proto.TypePreSleep))
	f.Add([]byte(
		"status\nshow unique jobs\r\nmaxqueue f 1 2 3\ncancel job H:t:1\ndrop function f\ncreate function  \r\n",
	))
	f.Add([]byte("\x00REQ\x00\x00\x00\x17\x00\x00\x00\x03f\x00-\x00REQ\x00\x00\x00\x07\x00\x00\x00\x01f"))
	f.Add([]byte("\x00RES\x00\x00\x00\x10\xff\xff\xff\xffx"))
	delayed := proto.AppendCanDo(proto.AppendCanDo(nil, "f"), "g")
	delayed = proto.AppendSubmitEpoch(delayed, "f", "", time.Unix(2_000_000, 0), "x")
	delayed = proto.AppendSubmitEpoch(delayed, "g", "", time.Unix(2_000_000, 0), "x")
	delayed = proto.AppendSubmit(delayed, proto.TypeSubmitJobLow, "g", "", "x")
	f.Add(proto.AppendEmpty(delayed, proto.Request, proto.TypeGrabJob))
	f.Add([]byte("jobs\nclients\nworkers\nmaxqueue f 1\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		fuzz(t, b, rules{jobRetries: 2})
		fuzz(t, b, rules{two: true, handles: true})
		fuzz(t, b, rules{perl: true})
	})
}

func fuzz(t *testing.T, b []byte, rules rules) {
	t.Helper()
	// A response to "show jobs" for each request would make this quadratic; a few kilobytes test as
	// much as many.
	b = b[:min(len(b), 16<<10)]
	bench := newBench(t, rules)
	p := bench.peer("p")
	var r request
	for len(b) > 0 && p.stuck == flowing {
		kind, size, want := bench.q.next(b, &r)
		if size > len(b) || kind == frameNone && want <= len(b) {
			t.Fatalf("frame %d takes %d bytes and wants %d of %d", kind, size, want, len(b))
		}
		switch kind {
		case frameText:
			if !bench.q.text(p, b[:size], identity{}) {
				return
			}
		case framePacket:
			bench.q.handle(p, &r)
		default:
			return
		}
		b = b[size:]
		bench.check()
	}
	bench.q.disconnect(p)
	bench.check()
}
