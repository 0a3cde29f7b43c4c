package conformance

import (
	"strconv"
	"strings"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

// epoch is a delayed job's time.
func epoch(d time.Duration) string { return strconv.FormatInt(time.Now().Add(d).Unix(), 10) }

var submitRows = []row{
	{group: "submit", name: "foreground: JOB_CREATED, then the result", run: func(c *check) {
		client := c.dial("client")
		h := client.submit(proto.TypeSubmitJob, "f", "", "in")
		w := c.worker("worker", "f")
		w.grab(h, "f", "in")
		w.send(proto.TypeWorkComplete, h, "out")
		client.want(proto.TypeWorkComplete, h, "out")
	}},
	{group: "submit", name: "background: no result is sent", run: func(c *check) {
		client := c.dial("client")
		h := client.submit(proto.TypeSubmitJobBG, "f", "", "in")
		w := c.worker("worker", "f")
		w.grab(h, "f", "in")
		w.send(proto.TypeWorkComplete, h, "out")
		w.sync()
		client.sync()
	}},
	{group: "submit", name: "handles are counted up, one for each job", run: func(c *check) {
		client := c.dial("client")
		var first int
		for i := range 3 {
			h := client.submit(proto.TypeSubmitJobBG, "f", "", "")
			n, err := strconv.Atoi(h[strings.LastIndexByte(h, ':')+1:])
			if err != nil {
				c.failf("handle %q does not end with a number", h)
			}
			if i == 0 {
				first = n
			}
			c.equal("the number of a handle", n, first+i)
		}
	}},
	{group: "submit", name: "pipelined submissions are answered in order", run: func(c *check) {
		client := c.dial("client")
		var all []byte
		for range 500 {
			all = proto.AppendSubmit(all, proto.TypeSubmitJobBG, "f", "", "x")
		}
		client.raw(string(all))
		last := 0
		for range 500 {
			h := client.created()
			n, _ := strconv.Atoi(h[strings.LastIndexByte(h, ':')+1:])
			if n <= last {
				c.failf("handle %q comes after number %d", h, last)
			}
			last = n
		}
	}},
	{group: "submit", name: "high before normal", run: func(c *check) {
		client := c.dial("client")
		n := client.submit(proto.TypeSubmitJob, "f", "", "n")
		h := client.submit(proto.TypeSubmitJobHigh, "f", "", "h")
		w := c.worker("worker", "f")
		w.grab(h, "f", "h")
		w.grab(n, "f", "n")
	}},
	{group: "submit", name: "three priorities, first in first out in each", not: onPerl, run: func(c *check) {
		client := c.dial("client")
		var want []string
		for _, t := range []proto.Type{proto.TypeSubmitJobHigh, proto.TypeSubmitJobBG, proto.TypeSubmitJobLowBG} {
			for _, s := range []proto.Type{t, t} {
				want = append(want, s.String())
			}
		}
		for _, t := range []proto.Type{proto.TypeSubmitJobLowBG, proto.TypeSubmitJobBG, proto.TypeSubmitJobHigh} {
			client.submit(t, "f", "", t.String())
			client.submit(t, "f", "", t.String())
		}
		w := c.worker("worker", "f")
		for _, data := range want {
			w.send(proto.TypeGrabJob)
			got, err := w.next()
			if err != nil || got.typ != proto.TypeJobAssign {
				c.failf("worker waited for JOB_ASSIGN, and got %v %v", got, err)
			}
			c.equal("the job", got.args[2], data)
		}
	}},
	{group: "submit", name: "low priority, foreground and background", not: onPerl, run: func(c *check) {
		client := c.dial("client")
		h := client.submit(proto.TypeSubmitJobLow, "f", "", "fg")
		client.submit(proto.TypeSubmitJobLowBG, "f", "", "bg")
		w := c.worker("worker", "f")
		w.grab(h, "f", "fg")
		w.send(proto.TypeWorkComplete, h, "")
		client.want(proto.TypeWorkComplete, h, "")
	}},
	{group: "submit", name: "high priority in the background", not: onPerl, run: func(c *check) {
		h := c.dial("client").submit(proto.TypeSubmitJobHighBG, "f", "", "bg")
		c.worker("worker", "f").grab(h, "f", "bg")
	}},
	{group: "submit", name: "a payload of any bytes", run: func(c *check) {
		data := "\x00\x00REQ\xff\n.\n\x00"
		h := c.dial("client").submit(proto.TypeSubmitJobBG, "f", "", data)
		c.worker("worker", "f").grab(h, "f", data)
	}},
	{group: "submit", name: "an empty payload", run: func(c *check) {
		h := c.dial("client").submit(proto.TypeSubmitJobBG, "f", "", "")
		c.worker("worker", "f").grab(h, "f", "")
	}},
	{group: "submit", name: "a payload of 1 MiB there and back", run: func(c *check) {
		data := strings.Repeat("0123456789abcdef", 1<<16)
		client := c.dial("client")
		h := client.submit(proto.TypeSubmitJob, "f", "", data)
		w := c.worker("worker", "f")
		w.grab(h, "f", data)
		w.send(proto.TypeWorkComplete, h, data)
		client.want(proto.TypeWorkComplete, h, data)
	}},
	{group: "submit", name: "delayed: not handed out, counted", not: onPerl, run: func(c *check) {
		h := c.dial("client").submit(proto.TypeSubmitJobEpoch, "f", "", epoch(time.Hour), "x")
		c.status("f 1 0 0")
		c.settles("prioritystatus\n", "f\t0\t1\t0\t0")
		c.settles("show jobs\n", h+"\t0\t0\t1")
		w := c.worker("worker", "f")
		w.grabNothing()
		w.sleep()
	}},
	{group: "submit", name: "delayed: handed out once due, without a wake-up", not: onAllBut1, run: func(c *check) {
		w := c.worker("worker", "f")
		w.sleep()
		h := c.dial("client").submit(proto.TypeSubmitJobEpoch, "f", "", epoch(2*time.Second), "x")
		w.want(proto.TypeNoop) // at the submission, though no job can be had
		w.grabNothing()
		w.sleep()
		time.Sleep(3100 * time.Millisecond)
		w.sync() // the worker slept when the job fell due, and was not woken
		w.send(proto.TypePreSleep)
		w.want(proto.TypeNoop)
		w.grab(h, "f", "x")
	}},
	{group: "submit", name: "delayed: sleepers are woken when it is due", not: onAllBut2, run: func(c *check) {
		w := c.worker("worker", "f")
		w.sleep()
		h := c.dial("client").submit(proto.TypeSubmitJobEpoch, "f", "", epoch(2*time.Second), "x")
		w.want(proto.TypeNoop) // at the submission, though no job can be had
		w.grabNothing()
		w.sleep()
		w.want(proto.TypeNoop)
		w.grab(h, "f", "x")
	}},
	{group: "submit", name: "delayed: LOW jobs of its function go on", not: onAllBut2, run: func(c *check) {
		client := c.dial("client")
		client.submit(proto.TypeSubmitJobEpoch, "f", "", epoch(time.Hour), "later")
		h := client.submit(proto.TypeSubmitJobLowBG, "f", "", "low")
		w := c.worker("worker", "f")
		w.grab(h, "f", "low")
		w.grabNothing()
		w.sleep()
	}},
	{group: "submit", name: "delayed: a time in the past, or none, is now", not: onPerl, run: func(c *check) {
		client := c.dial("client")
		past := client.submit(proto.TypeSubmitJobEpoch, "f", "", epoch(-time.Hour), "past")
		none := client.submit(proto.TypeSubmitJobEpoch, "f", "", "soon", "none")
		w := c.worker("worker", "f")
		w.grab(past, "f", "past")
		w.grab(none, "f", "none")
	}},
	{group: "submit", name: "delayed: jobs behind it in its line go first", not: onPerl, run: func(c *check) {
		client := c.dial("client")
		client.submit(proto.TypeSubmitJobEpoch, "f", "", epoch(time.Hour), "later")
		h := client.submit(proto.TypeSubmitJobBG, "f", "", "now")
		w := c.worker("worker", "f")
		w.grab(h, "f", "now")
		w.grabNothing()
	}},
	{group: "submit", name: "delayed: it hides LOW jobs of its function, and PRE_SLEEP rings for them", not: onAllBut1, run: func(c *check) {
		client := c.dial("client")
		client.submit(proto.TypeSubmitJobEpoch, "f", "", epoch(time.Hour), "later")
		client.submit(proto.TypeSubmitJobLowBG, "f", "", "low")
		w := c.worker("worker", "f")
		for range 3 {
			w.grabNothing()
			w.send(proto.TypePreSleep)
			w.want(proto.TypeNoop)
		}
	}},
	{group: "submit", name: "delayed: other functions go on", not: onPerl, run: func(c *check) {
		client := c.dial("client")
		client.submit(proto.TypeSubmitJobEpoch, "f", "", epoch(time.Hour), "later")
		h := client.submit(proto.TypeSubmitJobBG, "g", "", "now")
		w := c.worker("worker", "g", "f")
		w.grab(h, "g", "now")
	}},
	{group: "submit", name: "delayed: a time beyond 64 bits is never answered", not: onPerl, run: func(c *check) {
		client := c.dial("client")
		client.send(proto.TypeSubmitJobEpoch, "f", "", "99999999999999999999", "x")
		client.wantIgnored()
		c.status()
	}},
	{group: "submit", name: "SUBMIT_JOB_SCHED is refused", not: onPerl, run: func(c *check) {
		client := c.dial("client")
		client.send(proto.TypeSubmitJobSched, "f", "", "*", "*", "*", "*", "*", "x")
		client.want(proto.TypeError, "INVALID_COMMAND", "Command not expected")
	}},
	{group: "submit", name: "reducers, with the field that no document has", not: onPerl, run: func(c *check) {
		client := c.dial("client")
		h := client.submit(proto.TypeSubmitReduceJob, "f", "u", "sum", "agg", "data")
		w := c.worker("worker", "f")
		w.send(proto.TypeGrabJobAll)
		w.want(proto.TypeJobAssignAll, h, "f", "u", "sum", "data")
		w.send(proto.TypeWorkComplete, h, "done")
		client.want(proto.TypeWorkComplete, h, "done")
		h = client.submit(proto.TypeSubmitReduceBG, "f", "", "sum", "", "data")
		w.grab(h, "f", "data")
	}},
}

var queueRows = []row{
	{group: "unique", name: "same function and key: one job, the first payload", run: func(c *check) {
		a, b := c.dial("first"), c.dial("second")
		h := a.submit(proto.TypeSubmitJob, "f", "k", "1")
		c.equal("the handle", b.submit(proto.TypeSubmitJob, "f", "k", "2"), h)
		c.equal("the handle", b.submit(proto.TypeSubmitJobBG, "f", "k", "3"), h)
		c.status("f 1 0 0")
		w := c.worker("worker", "f")
		w.grab(h, "f", "1")
		w.send(proto.TypeWorkComplete, h, "out")
		a.want(proto.TypeWorkComplete, h, "out")
		b.want(proto.TypeWorkComplete, h, "out")
		b.sync()
	}},
	{group: "unique", name: "a running job is joined too", run: func(c *check) {
		a, b := c.dial("first"), c.dial("second")
		h := a.submit(proto.TypeSubmitJob, "f", "k", "1")
		w := c.worker("worker", "f")
		w.grab(h, "f", "1")
		c.equal("the handle", b.submit(proto.TypeSubmitJob, "f", "k", "2"), h)
		w.send(proto.TypeWorkComplete, h, "out")
		a.want(proto.TypeWorkComplete, h, "out")
		b.want(proto.TypeWorkComplete, h, "out")
	}},
	{group: "unique", name: "a finished job is not", run: func(c *check) {
		a := c.dial("client")
		h := a.submit(proto.TypeSubmitJobBG, "f", "k", "1")
		w := c.worker("worker", "f")
		w.grab(h, "f", "1")
		w.send(proto.TypeWorkComplete, h, "")
		w.sync()
		if again := a.submit(proto.TypeSubmitJobBG, "f", "k", "2"); again == h {
			c.failf("a new job got the handle %s of the finished one", h)
		}
	}},
	{group: "unique", name: "the same key of another function is another job", run: func(c *check) {
		a := c.dial("client")
		if f, g := a.submit(
			proto.TypeSubmitJobBG, "f", "k", "",
		), a.submit(proto.TypeSubmitJobBG, "g", "k", ""); f == g {
			c.failf("two functions share the job %s", f)
		}
		c.status("f 1 0 0", "g 1 0 0")
	}},
	{group: "unique", name: "one connection can wait twice", run: func(c *check) {
		a := c.dial("client")
		h := a.submit(proto.TypeSubmitJob, "f", "k", "1")
		a.submit(proto.TypeSubmitJob, "f", "k", "1")
		w := c.worker("worker", "f")
		w.grab(h, "f", "1")
		w.send(proto.TypeWorkComplete, h, "out")
		a.want(proto.TypeWorkComplete, h, "out")
		a.want(proto.TypeWorkComplete, h, "out")
	}},
	{group: "unique", name: "the first priority stays", not: onPerl, run: func(c *check) {
		a := c.dial("client")
		a.submit(proto.TypeSubmitJobLowBG, "f", "k", "")
		a.submit(proto.TypeSubmitJobHighBG, "f", "k", "")
		c.settles("prioritystatus\n", "f\t0\t0\t1\t0")
	}},
	{group: "unique", name: "- is by workload", run: func(c *check) {
		a := c.dial("client")
		h := a.submit(proto.TypeSubmitJobBG, "f", "-", "same")
		c.equal("the handle", a.submit(proto.TypeSubmitJobBG, "f", "-", "same"), h)
		if other := a.submit(proto.TypeSubmitJobBG, "f", "-", "other"); other == h {
			c.failf("another workload got the same job %s", h)
		}
		c.status("f 2 0 0")
	}},
	{group: "unique", name: "- with an empty workload does not coalesce", not: onPerl, run: func(c *check) {
		a := c.dial("client")
		a.submit(proto.TypeSubmitJobBG, "f", "-", "")
		a.submit(proto.TypeSubmitJobBG, "f", "-", "")
		c.status("f 2 0 0")
	}},
	{group: "unique", name: "no key: nothing coalesces", run: func(c *check) {
		a := c.dial("client")
		a.submit(proto.TypeSubmitJobBG, "f", "", "same")
		a.submit(proto.TypeSubmitJobBG, "f", "", "same")
		c.status("f 2 0 0")
	}},
	{group: "unique", name: "a client that joined a background job and leaves cancels it", not: onPerl, run: func(c *check) {
		a, b := c.dial("background"), c.dial("foreground")
		h := a.submit(proto.TypeSubmitJobBG, "f", "k", "")
		b.submit(proto.TypeSubmitJob, "f", "k", "")
		b.close()
		c.settles("show jobs\n", h+"\t0\t1\t0")
		c.worker("worker", "f").grabNothing()
		c.status("f 0 0 1")
	}},
	{group: "unique", name: "a job that one of two clients left goes on", run: func(c *check) {
		a, b := c.dial("stays"), c.dial("leaves")
		h := a.submit(proto.TypeSubmitJob, "f", "k", "x")
		b.submit(proto.TypeSubmitJob, "f", "k", "x")
		b.close()
		w := c.worker("worker", "f")
		w.grab(h, "f", "x")
		w.send(proto.TypeWorkComplete, h, "out")
		a.want(proto.TypeWorkComplete, h, "out")
	}},
	{group: "unique", name: "a key of 64 bytes is taken, but does not coalesce and comes cut", not: onPerl, run: func(c *check) {
		a, key := c.dial("client"), strings.Repeat("k", 64)
		h := a.submit(proto.TypeSubmitJobBG, "f", key, "x")
		a.submit(proto.TypeSubmitJobBG, "f", key, "x")
		c.status("f 2 0 0")
		w := c.worker("worker", "f")
		w.send(proto.TypeGrabJobUniq)
		w.want(proto.TypeJobAssignUniq, h, "f", key[:63], "\x00x")
	}},
	{group: "unique", name: "a key of 63 bytes coalesces", run: func(c *check) {
		a, key := c.dial("client"), strings.Repeat("k", 63)
		h := a.submit(proto.TypeSubmitJobBG, "f", key, "")
		c.equal("the handle", a.submit(proto.TypeSubmitJobBG, "f", key, ""), h)
	}},
	{group: "unique", name: "a key of 65 bytes is refused", not: onPerl, run: func(c *check) {
		a := c.dial("client")
		a.send(proto.TypeSubmitJobBG, "f", strings.Repeat("k", 65), "x")
		a.want(proto.TypeError, "ARGUMENT_TOO_LARGE", "Unique value too large")
		c.status()
	}},
	{group: "maxqueue", name: "a full queue refuses, running jobs count", not: onPerl, run: func(c *check) {
		client := c.dial("client")
		w := c.worker("worker", "f")
		c.admin().wantLine("maxqueue f 2\n", "OK\r\n")
		h := client.submit(proto.TypeSubmitJobBG, "f", "", "1")
		client.submit(proto.TypeSubmitJobBG, "f", "", "2")
		w.grab(h, "f", "1")
		client.send(proto.TypeSubmitJobBG, "f", "", "3")
		client.want(proto.TypeError, "QUEUE_ERROR", "Job queue is full")
		c.admin().wantLine("maxqueue f\n", "OK\r\n")
		client.submit(proto.TypeSubmitJobBG, "f", "", "3")
	}},
	{group: "maxqueue", name: "a limit for each priority", not: onPerl, run: func(c *check) {
		client := c.dial("client")
		c.worker("worker", "f")
		c.admin().wantLine("maxqueue f 3 2 1\n", "OK\r\n")
		for _, s := range []struct {
			t  proto.Type
			ok bool
		}{
			{proto.TypeSubmitJobLowBG, true},
			{proto.TypeSubmitJobLowBG, false},
			{proto.TypeSubmitJobBG, true},
			{proto.TypeSubmitJobBG, false},
			{proto.TypeSubmitJobHighBG, true},
			{proto.TypeSubmitJobHighBG, false},
		} {
			if s.ok {
				client.submit(s.t, "f", "", "")
				continue
			}
			client.send(s.t, "f", "", "")
			client.want(proto.TypeError, "QUEUE_ERROR", "Job queue is full")
		}
	}},
	{group: "maxqueue", name: "a coalesced job is taken though the queue is full", not: onPerl, run: func(c *check) {
		client := c.dial("client")
		c.worker("worker", "f")
		c.admin().wantLine("maxqueue f 1\n", "OK\r\n")
		h := client.submit(proto.TypeSubmitJobBG, "f", "k", "")
		c.equal("the handle", client.submit(proto.TypeSubmitJobBG, "f", "k", ""), h)
	}},
	{group: "maxqueue", name: "a limit set before the function exists is forgotten", not: onPerl, run: func(c *check) {
		client := c.dial("client")
		c.admin().wantLine("maxqueue f 1\n", "OK\r\n")
		client.submit(proto.TypeSubmitJobBG, "f", "", "")
		client.submit(proto.TypeSubmitJobBG, "f", "", "")
	}},
}
