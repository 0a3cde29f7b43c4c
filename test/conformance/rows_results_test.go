package conformance

import (
	"strings"

	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

// running returns a foreground job that a worker has taken.
func (c *check) running(args ...string) (client, worker *wire, handle string) {
	client = c.dial("client")
	handle = client.submit(proto.TypeSubmitJob, append([]string{"f"}, args...)...)
	worker = c.worker("worker", "f")
	worker.grab(handle, "f", args[len(args)-1])
	return client, worker, handle
}

var resultRows = []row{
	{group: "result", name: "WORK_STATUS", run: func(c *check) {
		client, w, h := c.running("", "x")
		w.send(proto.TypeWorkStatus, h, "3", "10")
		client.want(proto.TypeWorkStatus, h, "3", "10")
		client.send(proto.TypeGetStatus, h)
		client.want(proto.TypeStatusRes, h, "1", "1", "3", "10")
	}},
	{group: "result", name: "WORK_STATUS of no numbers is passed on, and kept as C reads it", not: onPerl, run: func(c *check) {
		client, w, h := c.running("", "x")
		w.send(proto.TypeWorkStatus, h, "0.5", "7 apples")
		client.want(proto.TypeWorkStatus, h, "0.5", "7 apples")
		client.send(proto.TypeGetStatus, h)
		client.want(proto.TypeStatusRes, h, "1", "1", "0", "7")
	}},
	{group: "result", name: "WORK_DATA", not: onPerl, run: func(c *check) {
		client, w, h := c.running("", "x")
		w.send(proto.TypeWorkData, h, "part\x00of")
		client.want(proto.TypeWorkData, h, "part\x00of")
		w.send(proto.TypeWorkComplete, h, "")
		client.want(proto.TypeWorkComplete, h, "")
	}},
	{group: "result", name: "WORK_WARNING", not: onPerl, run: func(c *check) {
		client, w, h := c.running("", "x")
		w.send(proto.TypeWorkWarning, h, "hm")
		client.want(proto.TypeWorkWarning, h, "hm")
	}},
	{group: "result", name: "WORK_COMPLETE with any bytes", run: func(c *check) {
		client, w, h := c.running("", "x")
		w.send(proto.TypeWorkComplete, h, "\x00\xff\n\x00")
		client.want(proto.TypeWorkComplete, h, "\x00\xff\n\x00")
	}},
	{group: "result", name: "WORK_FAIL is final", run: func(c *check) {
		client, w, h := c.running("", "x")
		w.send(proto.TypeWorkFail, h)
		client.want(proto.TypeWorkFail, h)
		c.status("f 0 0 1")
		w.grabNothing()
	}},
	{group: "result", name: "WORK_EXCEPTION comes as WORK_FAIL, with a NUL behind the handle", not: onPerl, run: func(c *check) {
		client, w, h := c.running("", "x")
		w.send(proto.TypeWorkException, h, "boom")
		client.want(proto.TypeWorkFail, h, "")
	}},
	{group: "result", name: "WORK_EXCEPTION comes to who asked for it", run: func(c *check) {
		client := c.dial("client")
		client.send(proto.TypeOptionReq, "exceptions")
		client.want(proto.TypeOptionRes, "exceptions")
		h := client.submit(proto.TypeSubmitJob, "f", "", "x")
		w := c.worker("worker", "f")
		w.grab(h, "f", "x")
		w.send(proto.TypeWorkException, h, "bo\x00om")
		client.want(proto.TypeWorkException, h, "bo\x00om")
	}},
	{group: "result", name: "--exceptions: WORK_EXCEPTION comes to all", not: onPerl, options: options{
		exceptions: true,
	}, run: func(c *check) {
		client, w, h := c.running("", "x")
		w.send(proto.TypeWorkException, h, "boom")
		client.want(proto.TypeWorkException, h, "boom")
	}},
	{group: "result", name: "WORK_EXCEPTION is final", not: onPerl, run: func(c *check) {
		_, w, h := c.running("", "x")
		w.send(proto.TypeWorkException, h, "boom")
		w.send(proto.TypeWorkFail, h)
		w.want(proto.TypeError, "JOB_NOT_FOUND", "Job given in work result not found")
		c.status("f 0 0 1")
	}},
	{group: "result", name: "WORK_EXCEPTION is not final, WORK_FAIL must follow", not: onGearmand, run: func(c *check) {
		client, w, h := c.running("", "x")
		w.send(proto.TypeWorkException, h, "boom")
		w.send(proto.TypeWorkFail, h)
		client.want(proto.TypeWorkFail, h)
		w.sync()
	}},
	{group: "result", name: "OPTION_REQ: unknown", not: onPerl, run: func(c *check) {
		a := c.dial("client")
		for _, o := range []string{"", "nosuch", strings.Repeat("x", 64)} {
			a.send(proto.TypeOptionReq, o)
			a.want(proto.TypeError, "UNKNOWN_OPTION", "Server does not recognize given option")
		}
		a.send(proto.TypeOptionReq, "EXCEPTIONS")
		a.want(proto.TypeOptionRes, "EXCEPTIONS")
	}},
	{group: "result", name: "results of jobs that the connection doesn't have", not: onPerl, run: func(c *check) {
		_, _, h := c.running("", "x")
		other := c.worker("other", "f")
		const given, exist = "Job given in work result not found", "Job does not exist on server"
		for _, handle := range []string{h, "H:nosuch:1"} {
			for _, s := range []struct {
				t    proto.Type
				args []string
				text string
			}{
				{proto.TypeWorkComplete, []string{handle, "x"}, given},
				{proto.TypeWorkFail, []string{handle}, given},
				{proto.TypeWorkStatus, []string{handle, "1", "2"}, given},
				{proto.TypeWorkData, []string{handle, "x"}, exist},
				{proto.TypeWorkWarning, []string{handle, "x"}, exist},
				{
					proto.TypeWorkException,
					[]string{handle, "x"},
					"An exception was received for a job that does not exist",
				},
			} {
				other.send(s.t, s.args...)
				other.want(proto.TypeError, "JOB_NOT_FOUND", s.text)
			}
		}
		c.status("f 1 1 2")
	}},
	{group: "result", name: "GET_STATUS: unknown, queued, running", not: onPerl, run: func(c *check) {
		a := c.dial("client")
		a.send(proto.TypeGetStatus, "H:nosuch:1")
		a.want(proto.TypeStatusRes, "H:nosuch:1", "0", "0", "0", "0")
		h := a.submit(proto.TypeSubmitJobBG, "f", "", "x")
		a.send(proto.TypeGetStatus, h)
		a.want(proto.TypeStatusRes, h, "1", "0", "0", "0")
		w := c.worker("worker", "f")
		w.grab(h, "f", "x")
		a.send(proto.TypeGetStatus, h)
		a.want(proto.TypeStatusRes, h, "1", "1", "0", "0")
		w.send(proto.TypeWorkComplete, h, "")
		w.sync()
		a.send(proto.TypeGetStatus, h)
		a.want(proto.TypeStatusRes, h, "0", "0", "0", "0")
	}},
	{group: "result", name: "GET_STATUS: a handle of 64 bytes is never answered", not: onPerl, run: func(c *check) {
		a := c.dial("client")
		a.send(proto.TypeGetStatus, strings.Repeat("h", 63))
		a.want(proto.TypeStatusRes, strings.Repeat("h", 63), "0", "0", "0", "0")
		a.send(proto.TypeGetStatus, strings.Repeat("h", 64))
		a.wantIgnored()
	}},
	{group: "result", name: "GET_STATUS_UNIQUE counts the clients that wait", not: onPerl, run: func(c *check) {
		a, b := c.dial("first"), c.dial("second")
		a.send(proto.TypeGetStatusUnique, "k")
		a.want(proto.TypeStatusResUnique, "k", "0", "0", "0", "0", "0")
		h := a.submit(proto.TypeSubmitJobBG, "f", "k", "x")
		a.submit(proto.TypeSubmitJob, "f", "k", "x")
		b.submit(proto.TypeSubmitJob, "f", "k", "x")
		a.send(proto.TypeGetStatusUnique, "k")
		a.want(proto.TypeStatusResUnique, "k", "1", "0", "0", "0", "2")
		w := c.worker("worker", "f")
		w.grab(h, "f", "x")
		w.send(proto.TypeWorkStatus, h, "1", "4")
		a.want(proto.TypeWorkStatus, h, "1", "4")
		a.send(proto.TypeGetStatusUnique, "k")
		a.want(proto.TypeStatusResUnique, "k", "1", "1", "1", "4", "2")
	}},
	{group: "result", name: "GET_STATUS_UNIQUE: of several functions the newest job", not: onPerl, run: func(c *check) {
		a := c.dial("client")
		a.submit(proto.TypeSubmitJobBG, "old", "k", "x")
		h := a.submit(proto.TypeSubmitJobBG, "new", "k", "x")
		c.worker("worker", "new").grab(h, "new", "x")
		a.send(proto.TypeGetStatusUnique, "k")
		a.want(proto.TypeStatusResUnique, "k", "1", "1", "0", "0", "0")
	}},
	{group: "result", name: "GET_STATUS_UNIQUE does not find - or no key", not: onPerl, run: func(c *check) {
		a := c.dial("client")
		a.submit(proto.TypeSubmitJobBG, "f", "-", "x")
		a.submit(proto.TypeSubmitJobBG, "f", "", "x")
		for _, k := range []string{"-", ""} {
			a.send(proto.TypeGetStatusUnique, k)
			a.want(proto.TypeStatusResUnique, k, "0", "0", "0", "0", "0")
		}
	}},
	{group: "result", name: "ECHO_REQ", run: func(c *check) {
		a := c.dial("client")
		for _, data := range []string{"", "x", "\x00\x00", strings.Repeat("y", 100_000)} {
			a.send(proto.TypeEchoReq, data)
			a.want(proto.TypeEchoRes, data)
		}
	}},
	{group: "result", name: "packets for other waiting clients are not mixed up", run: func(c *check) {
		a, b := c.dial("first"), c.dial("second")
		ha := a.submit(proto.TypeSubmitJob, "f", "", "a")
		hb := b.submit(proto.TypeSubmitJob, "f", "", "b")
		w := c.worker("worker", "f")
		w.grab(ha, "f", "a")
		w.grab(hb, "f", "b")
		w.send(proto.TypeWorkComplete, hb, "for b")
		b.want(proto.TypeWorkComplete, hb, "for b")
		a.sync()
		w.send(proto.TypeWorkComplete, ha, "for a")
		a.want(proto.TypeWorkComplete, ha, "for a")
		b.sync()
	}},
}

var limitRows = []row{
	{group: "limits", name: "magic of a response is told so", not: onPerl, run: func(c *check) {
		a := c.dial("client")
		a.raw(string(proto.AppendEcho(nil, proto.Response, "x")))
		a.want(proto.TypeError, "INVALID_MAGIC", "Request magic expected")
		a.sync()
	}},
	{group: "limits", name: "unknown magic closes the connection", not: onPerl, run: func(c *check) {
		a := c.dial("client")
		a.raw("\x00XXX\x00\x00\x00\x01\x00\x00\x00\x00")
		a.wantClosed()
	}},
	{group: "limits", name: "types 0 and 43 and above close the connection", not: onPerl, run: func(c *check) {
		for _, t := range []proto.Type{0, 43, 99, 1 << 31} {
			a := c.dial("client")
			a.send(t)
			a.wantClosed()
		}
	}},
	{group: "limits", name: "types of responses, 5 and ALL_YOURS are INVALID_COMMAND", not: onPerl, run: func(c *check) {
		a := c.dial("client")
		for _, t := range []proto.Type{
			5, proto.TypeNoop, proto.TypeJobCreated, proto.TypeNoJob, proto.TypeEchoRes, proto.TypeAllYours,
			proto.TypeOptionRes,
		} {
			a.send(t)
			a.want(proto.TypeError, "INVALID_COMMAND", "Command not expected")
		}
		a.sync()
	}},
	{group: "limits", name: "a packet with too few arguments gets no answer, nor does what follows", not: onPerl, run: func(c *check) {
		for _, s := range []struct {
			t    proto.Type
			args []string
		}{
			{proto.TypeSubmitJob, []string{"f"}},
			{proto.TypeSubmitJobBG, []string{"f", "u"}},
			{proto.TypeWorkComplete, []string{"H:x:1"}},
			{proto.TypeWorkStatus, []string{"H:x:1", "1"}},
			{proto.TypeCanDoTimeout, []string{"f"}},
		} {
			a := c.dial(s.t.String() + " client")
			a.send(s.t, s.args...)
			a.wantMute()
		}
		c.status()
	}},
	{group: "limits", name: "arguments where none belong are ignored", run: func(c *check) {
		a := c.dial("client")
		a.send(proto.TypeGrabJob, "junk")
		a.want(proto.TypeNoJob)
		a.send(proto.TypePreSleep, "junk")
		a.sync()
	}},
	{group: "limits", name: "a function name of 8,000 bytes", run: func(c *check) {
		f := strings.Repeat("f", 8000)
		h := c.dial("client").submit(proto.TypeSubmitJobBG, f, "", "x")
		c.worker("worker", f).grab(h, f, "x")
		c.status(f + " 1 1 1")
	}},
	{group: "limits", name: "arguments of more than 8,192 bytes close the connection", not: onPerl, run: func(c *check) {
		a := c.dial("worker")
		a.send(proto.TypeCanDo, strings.Repeat("f", 9000))
		a.wantClosed()
		b := c.dial("client")
		b.send(proto.TypeSubmitJobBG, strings.Repeat("f", 9000), "", "x")
		b.wantClosed()
	}},
	{group: "limits", name: "an empty function name", not: onPerl, run: func(c *check) {
		h := c.dial("client").submit(proto.TypeSubmitJobBG, "", "", "x")
		c.worker("worker", "").grab(h, "", "x")
		c.settles("status\n", "\t1\t1\t1")
	}},
	{group: "limits", name: "a client id is cut at 127 bytes", not: onPerl, run: func(c *check) {
		w := c.dial("worker")
		w.send(proto.TypeSetClientID, strings.Repeat("i", 300))
		w.sync()
		c.wantID(strings.Repeat("i", 127))
	}},
	{group: "limits", name: "a client id can be set again and again", run: func(c *check) {
		w := c.dial("worker")
		w.send(proto.TypeSetClientID, "one")
		w.send(proto.TypeSetClientID, "two")
		w.sync()
		c.wantID("two")
	}},
	{group: "limits", name: "a client id with blanks comes raw", not: onPerl, run: func(c *check) {
		w := c.dial("worker")
		w.send(proto.TypeSetClientID, "my own id")
		w.sync()
		c.wantID("my own id")
	}},
	{group: "limits", name: "half a packet is waited for", run: func(c *check) {
		a := c.dial("client")
		b := string(proto.AppendEcho(nil, proto.Request, "half"))
		a.raw(b[:7])
		c.admin().sync() // the server serves others meanwhile
		a.raw(b[7:13])
		c.admin().sync()
		a.raw(b[13:])
		a.want(proto.TypeEchoRes, "half")
	}},
	{group: "limits", name: "any connection may be client and worker at once", run: func(c *check) {
		both := c.worker("both", "f")
		h := both.submit(proto.TypeSubmitJob, "f", "", "x")
		both.grab(h, "f", "x")
		both.send(proto.TypeWorkComplete, h, "out")
		both.want(proto.TypeWorkComplete, h, "out")
	}},
	{group: "limits", name: "a reader that reads nothing holds up nobody", run: func(c *check) {
		lazy, data := c.dial("lazy"), strings.Repeat("z", 1<<16)
		for range 64 { // 4 MiB of answers that the client doesn't read
			lazy.send(proto.TypeEchoReq, data)
		}
		c.admin().sync()
		for range 64 {
			lazy.want(proto.TypeEchoRes, data)
		}
	}},
}

// wantID fails unless exactly one connection has this client id.
func (c *check) wantID(id string) {
	n := 0
	rows := c.admin().rows("workers\n")
	for _, r := range rows {
		if strings.Contains(r, " "+id+" :") {
			n++
		}
	}
	if n != 1 {
		c.failf("workers: want one row with the id %q, got %q", id, rows)
	}
}
