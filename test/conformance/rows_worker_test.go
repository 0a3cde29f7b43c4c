package conformance

import (
	"strings"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

var workerRows = []row{
	{group: "grab", name: "NO_JOB where nothing is to be done", run: func(c *check) {
		c.dial("without functions").grabNothing()
		c.worker("worker", "f").grabNothing()
	}},
	{group: "grab", name: "GRAB_JOB", run: func(c *check) {
		h := c.dial("client").submit(proto.TypeSubmitJobBG, "f", "k", "x")
		c.worker("worker", "f").grab(h, "f", "x")
	}},
	{group: "grab", name: "GRAB_JOB_UNIQ tells the unique key", not: onPerl, run: func(c *check) {
		client := c.dial("client")
		h := client.submit(proto.TypeSubmitJobBG, "f", "k", "x")
		none := client.submit(proto.TypeSubmitJobBG, "f", "", "y")
		w := c.worker("worker", "f")
		w.send(proto.TypeGrabJobUniq)
		w.want(proto.TypeJobAssignUniq, h, "f", "k", "x")
		w.send(proto.TypeGrabJobUniq)
		w.want(proto.TypeJobAssignUniq, none, "f", "", "y")
		w.send(proto.TypeGrabJobUniq)
		w.want(proto.TypeNoJob)
	}},
	{group: "grab", name: "GRAB_JOB_ALL answers JOB_ASSIGN_UNIQ without a reducer", not: onPerl, run: func(c *check) {
		h := c.dial("client").submit(proto.TypeSubmitJobBG, "f", "k", "x")
		w := c.worker("worker", "f")
		w.send(proto.TypeGrabJobAll)
		w.want(proto.TypeJobAssignUniq, h, "f", "k", "x")
		w.send(proto.TypeGrabJobAll)
		w.want(proto.TypeNoJob)
	}},
	{group: "grab", name: "one connection can hold several jobs", run: func(c *check) {
		client := c.dial("client")
		a := client.submit(proto.TypeSubmitJob, "f", "", "1")
		b := client.submit(proto.TypeSubmitJob, "f", "", "2")
		w := c.worker("worker", "f")
		w.grab(a, "f", "1")
		w.grab(b, "f", "2")
		c.status("f 2 2 1")
		w.send(proto.TypeWorkComplete, b, "")
		w.send(proto.TypeWorkComplete, a, "")
		client.want(proto.TypeWorkComplete, b, "")
		client.want(proto.TypeWorkComplete, a, "")
	}},
	{group: "grab", name: "the last registered function goes first, whatever the priorities", not: onAllBut1, run: func(c *check) {
		w := c.orderWorker()
		for _, want := range []string{"cH", "cN", "cL", "bH", "bN", "bL", "aH", "aN", "aL"} {
			c.equal("the next job", w.grabAny().args[2], want)
		}
	}},
	{group: "grab", name: "--round-robin: functions take turns", not: onPerl, options: options{
		roundRobin: true,
	}, run: func(c *check) {
		w := c.orderWorker()
		for _, want := range []string{"cH", "bH", "aH", "cN", "bN", "aN", "cL", "bL", "aL"} {
			c.equal("the next job", w.grabAny().args[2], want)
		}
	}},
	{group: "grab", name: "priorities count over all functions, which take turns", not: onAllBut2, run: func(c *check) {
		w := c.orderWorker()
		for _, want := range []string{"cH", "bH", "aH", "cN", "bN", "aN", "cL", "bL", "aL"} {
			c.equal("the next job", w.grabAny().args[2], want)
		}
	}},
	{
		group: "grab", name: "--round-robin: a function with delayed jobs only costs a turn", not: onAllBut1,
		options: options{roundRobin: true},
		run: func(c *check) {
			client := c.dial("client")
			client.submit(proto.TypeSubmitJobEpoch, "c", "", epoch(time.Hour), "later")
			h := client.submit(proto.TypeSubmitJobBG, "a", "", "now")
			w := c.worker("worker", "a", "b", "c")
			w.grabNothing()
			w.grab(h, "a", "now")
		},
	},
	{group: "grab", name: "CANT_DO: no more jobs of the function", run: func(c *check) {
		client := c.dial("client")
		h := client.submit(proto.TypeSubmitJobBG, "g", "", "x")
		client.submit(proto.TypeSubmitJobBG, "f", "", "x")
		w := c.worker("worker", "f", "g")
		w.send(proto.TypeCantDo, "f")
		w.grab(h, "g", "x")
		w.grabNothing()
	}},
	{group: "grab", name: "RESET_ABILITIES: no more jobs", run: func(c *check) {
		c.dial("client").submit(proto.TypeSubmitJobBG, "f", "", "x")
		w := c.worker("worker", "f", "g")
		w.send(proto.TypeResetAbilities)
		w.grabNothing()
	}},
	{group: "grab", name: "CAN_DO_TIMEOUT registers, whatever the number is", run: func(c *check) {
		h := c.dial("client").submit(proto.TypeSubmitJobBG, "f", "", "x")
		w := c.dial("worker")
		w.send(proto.TypeCanDoTimeout, "f", "60000")
		w.grab(h, "f", "x")
	}},
	{group: "grab", name: "CAN_DO_TIMEOUT with no number is CAN_DO", run: func(c *check) {
		for _, f := range []string{"abc", "-5", "0", ""} {
			c.dial("worker "+f).send(proto.TypeCanDoTimeout, "f"+f, f)
		}
		c.status("f 0 0 1", "fabc 0 0 1", "f-5 0 0 1", "f0 0 0 1")
	}},
	{group: "grab", name: "CAN_DO_TIMEOUT expires: the job is requeued, nobody is told", not: onPerl, run: func(c *check) {
		client := c.dial("client")
		h := client.submit(proto.TypeSubmitJob, "f", "", "x")
		w := c.dial("worker")
		w.send(proto.TypeCanDoTimeout, "f", "200") // raised to a second
		start := time.Now()
		w.grab(h, "f", "x")
		c.status("f 1 1 1")
		c.status("f 1 0 1")
		if d := time.Since(start); d < 900*time.Millisecond {
			c.failf("the job was requeued after %s, want a second", d)
		}
		c.settles("show jobs\n", h+"\t1\t0\t0")
		client.sync()
		w.send(proto.TypeWorkComplete, h, "late")
		w.want(proto.TypeError, "JOB_NOT_FOUND", "Job given in work result not found")
		c.worker("other", "f").grab(h, "f", "x")
	}},
	{group: "grab", name: "text and grabs on one connection", run: func(c *check) {
		h := c.dial("client").submit(proto.TypeSubmitJobBG, "f", "", "x")
		w := c.worker("worker", "f")
		c.equal("rows", strings.Join(w.rows("status\n"), "|"), "f\t1\t0\t1")
		w.grab(h, "f", "x")
	}},
}

// orderWorker returns a worker of three functions, with a job of each priority in each.
func (c *check) orderWorker() *wire {
	client := c.dial("client")
	for _, f := range []string{"a", "b", "c"} {
		client.submit(proto.TypeSubmitJobLowBG, f, "", f+"L")
		client.submit(proto.TypeSubmitJobBG, f, "", f+"N")
		client.submit(proto.TypeSubmitJobHighBG, f, "", f+"H")
	}
	return c.worker("worker", "a", "b", "c")
}

func (w *wire) grabAny() packet {
	w.send(proto.TypeGrabJob)
	got, err := w.next()
	if err != nil {
		w.c.failf("%s waited for JOB_ASSIGN, and got %s", w.name, silence(err))
	}
	if got.typ != proto.TypeJobAssign {
		w.c.failf("%s waited for JOB_ASSIGN, and got %s", w.name, got)
	}
	return got
}

var sleepRows = []row{
	{group: "sleep", name: "a submission wakes a sleeper", run: func(c *check) {
		w := c.worker("worker", "f")
		w.grabNothing()
		w.sleep()
		c.dial("client").submit(proto.TypeSubmitJobBG, "f", "", "")
		w.want(proto.TypeNoop)
	}},
	{group: "sleep", name: "who is awake gets no NOOP", run: func(c *check) {
		w := c.worker("worker", "f")
		w.grabNothing()
		c.dial("client").submit(proto.TypeSubmitJobBG, "f", "", "")
		w.sync()
	}},
	{group: "sleep", name: "other functions' jobs don't wake", run: func(c *check) {
		w := c.worker("worker", "f")
		w.sleep()
		c.dial("client").submit(proto.TypeSubmitJobBG, "g", "", "")
		w.sync()
	}},
	{group: "sleep", name: "PRE_SLEEP with a runnable job: NOOP at once", run: func(c *check) {
		c.dial("client").submit(proto.TypeSubmitJobBG, "f", "", "")
		w := c.worker("worker", "f")
		w.send(proto.TypePreSleep)
		w.want(proto.TypeNoop)
	}},
	{group: "sleep", name: "one NOOP until the next grab, however many jobs come", run: func(c *check) {
		w := c.worker("worker", "f")
		w.sleep()
		client := c.dial("client")
		client.submit(proto.TypeSubmitJobBG, "f", "", "1")
		client.submit(proto.TypeSubmitJobBG, "f", "", "2")
		w.want(proto.TypeNoop)
		w.sync()
	}},
	{group: "sleep", name: "who never grabs is rung once for good", not: onPerl, run: func(c *check) {
		w, client := c.worker("worker", "f"), c.dial("client")
		w.sleep()
		h := client.submit(proto.TypeSubmitJobBG, "f", "", "1")
		w.want(proto.TypeNoop)
		c.worker("other", "f").grab(h, "f", "1")
		w.sleep() // again, with no job to take
		client.submit(proto.TypeSubmitJobBG, "f", "", "2")
		w.sync()
	}},
	{group: "sleep", name: "after NO_JOB and PRE_SLEEP it is rung again", run: func(c *check) {
		w, client := c.worker("worker", "f"), c.dial("client")
		for range 3 {
			w.grabNothing()
			w.sleep()
			h := client.submit(proto.TypeSubmitJobBG, "f", "", "x")
			w.want(proto.TypeNoop)
			w.grab(h, "f", "x")
			w.send(proto.TypeWorkComplete, h, "")
		}
	}},
	{group: "sleep", name: "all sleepers are woken", run: func(c *check) {
		ws := c.sleepers(5)
		c.dial("client").submit(proto.TypeSubmitJobBG, "f", "", "x")
		for _, w := range ws {
			w.want(proto.TypeNoop)
		}
	}},
	{group: "sleep", name: "--worker-wakeup=1: one for each job, in turn", options: options{
		wakeup: 1,
	}, run: func(c *check) {
		ws := c.sleepers(3)
		client := c.dial("client")
		for i := range ws {
			client.submit(proto.TypeSubmitJobBG, "f", "", "x")
			for j, w := range ws {
				if j == i {
					w.want(proto.TypeNoop)
				}
				w.sync()
			}
		}
	}},
	{group: "sleep", name: "--worker-wakeup=1: who sleeps again waits for its turn", not: onPerl, options: options{
		wakeup: 1,
	}, run: func(c *check) {
		ws := c.sleepers(3)
		client := c.dial("client")
		h := client.submit(proto.TypeSubmitJobBG, "f", "", "1")
		ws[0].want(proto.TypeNoop)
		ws[0].grab(h, "f", "1")
		ws[0].send(proto.TypeWorkComplete, h, "")
		ws[0].grabNothing()
		ws[0].sleep()
		client.submit(proto.TypeSubmitJobBG, "f", "", "2")
		ws[1].want(proto.TypeNoop)
		ws[0].sync()
		ws[2].sync()
	}},
	{group: "sleep", name: "--worker-wakeup=1: a woken worker that dies takes the wake-up with it", options: options{
		wakeup: 1,
	}, run: func(c *check) {
		ws := c.sleepers(2)
		c.dial("client").submit(proto.TypeSubmitJobBG, "f", "", "x")
		ws[0].want(proto.TypeNoop)
		ws[0].close()
		c.status("f 1 0 1")
		ws[1].sync()
	}},
	{group: "sleep", name: "a requeued job wakes sleepers", not: onPerl, run: func(c *check) {
		h := c.dial("client").submit(proto.TypeSubmitJobBG, "f", "", "x")
		a, b := c.worker("dies", "f"), c.worker("sleeps", "f")
		a.grab(h, "f", "x")
		b.sleep()
		a.close()
		b.want(proto.TypeNoop)
		b.grab(h, "f", "x")
	}},
	{group: "sleep", name: "a worker can sleep while it works", not: onPerl, run: func(c *check) {
		client, w := c.dial("client"), c.worker("worker", "f")
		a := client.submit(proto.TypeSubmitJobBG, "f", "", "1")
		w.grab(a, "f", "1")
		w.sleep()
		b := client.submit(proto.TypeSubmitJobBG, "f", "", "2")
		w.want(proto.TypeNoop)
		w.grab(b, "f", "2")
	}},
	{group: "sleep", name: "the sleeper is rung for the job that its own CANT_DO requeues", not: onPerl, run: func(c *check) {
		h := c.dial("client").submit(proto.TypeSubmitJobBG, "f", "", "x")
		w := c.worker("worker", "f")
		w.grab(h, "f", "x")
		w.sleep()
		w.send(proto.TypeCantDo, "f")
		w.want(proto.TypeNoop)
		w.sync()
	}},
	{group: "sleep", name: "CAN_DO of a function with jobs does not ring a sleeper", run: func(c *check) {
		c.dial("client").submit(proto.TypeSubmitJobBG, "f", "", "x")
		w := c.worker("worker", "g")
		w.sleep()
		w.send(proto.TypeCanDo, "f")
		w.sync()
	}},
}

// sleepers returns workers of f, asleep, in the order in which they registered.
func (c *check) sleepers(n int) []*wire {
	var ws []*wire
	for i := range n {
		w := c.worker("sleeper "+string(rune('1'+i)), "f")
		w.sleep()
		ws = append(ws, w)
	}
	return ws
}

var lossRows = []row{
	{group: "loss", name: "a lost worker's job goes to the end of its line, with a retry more", not: onPerl, run: func(c *check) {
		client := c.dial("client")
		var hs []string
		for _, d := range []string{"1", "2", "3"} {
			hs = append(hs, client.submit(proto.TypeSubmitJobBG, "f", "", d))
		}
		a := c.worker("dies", "f")
		a.grab(hs[0], "f", "1")
		a.close()
		c.status("f 3 0 0")
		c.settles("show jobs\n", hs[0]+"\t1\t0\t1", hs[1]+"\t0\t0\t1", hs[2]+"\t0\t0\t1")
		b := c.worker("next", "f")
		b.grab(hs[1], "f", "2")
		b.grab(hs[2], "f", "3")
		b.grab(hs[0], "f", "1")
		b.reset()
		c.status("f 3 0 0")
		last := c.worker("last", "f") // the last job taken was requeued first
		last.grab(hs[0], "f", "1")
		last.grab(hs[2], "f", "3")
		last.grab(hs[1], "f", "2")
	}},
	{group: "loss", name: "a lost worker's job fails", not: onGearmand, run: func(c *check) {
		client := c.dial("client")
		h := client.submit(proto.TypeSubmitJob, "f", "", "x")
		a := c.worker("dies", "f")
		a.grab(h, "f", "x")
		a.close()
		client.want(proto.TypeWorkFail, h)
	}},
	{group: "loss", name: "a requeued job keeps its priority", not: onPerl, run: func(c *check) {
		client := c.dial("client")
		n := client.submit(proto.TypeSubmitJobBG, "f", "", "n")
		h := client.submit(proto.TypeSubmitJobHighBG, "f", "", "h")
		a := c.worker("dies", "f")
		a.grab(h, "f", "h")
		a.close()
		c.settles("prioritystatus\n", "f\t1\t1\t0\t0")
		b := c.worker("next", "f")
		b.grab(h, "f", "h")
		b.grab(n, "f", "n")
	}},
	{group: "loss", name: "a foreground job survives its worker", not: onPerl, run: func(c *check) {
		client := c.dial("client")
		h := client.submit(proto.TypeSubmitJob, "f", "", "x")
		a := c.worker("dies", "f")
		a.grab(h, "f", "x")
		a.send(proto.TypeWorkStatus, h, "1", "2")
		client.want(proto.TypeWorkStatus, h, "1", "2")
		a.close()
		c.status("f 1 0 0")
		client.send(proto.TypeGetStatus, h) // its progress starts again
		client.want(proto.TypeStatusRes, h, "1", "0", "0", "0")
		b := c.worker("next", "f")
		b.grab(h, "f", "x")
		b.send(proto.TypeWorkComplete, h, "out")
		client.want(proto.TypeWorkComplete, h, "out")
	}},
	{group: "loss", name: "--job-retries=2: the second loss fails the job", not: onPerl, options: options{
		jobRetries: 2,
	}, run: func(c *check) {
		client := c.dial("client")
		h := client.submit(proto.TypeSubmitJob, "f", "", "x")
		w := c.worker("dies", "f")
		w.grab(h, "f", "x")
		w.close()
		c.status("f 1 0 0")
		w = c.worker("dies too", "f")
		w.grab(h, "f", "x")
		w.close()
		client.want(proto.TypeWorkFail, h)
		c.status("f 0 0 0")
	}},
	{group: "loss", name: "CANT_DO requeues the job that the connection runs", not: onPerl, run: func(c *check) {
		client := c.dial("client")
		h := client.submit(proto.TypeSubmitJob, "f", "", "x")
		a, b := c.worker("first", "f"), c.worker("second", "f")
		a.grab(h, "f", "x")
		a.send(proto.TypeCantDo, "f")
		a.sync()
		c.status("f 1 0 1")
		b.grab(h, "f", "x")
		a.send(proto.TypeWorkComplete, h, "first")
		a.want(proto.TypeError, "JOB_NOT_FOUND", "Job given in work result not found")
		b.send(proto.TypeWorkComplete, h, "second")
		client.want(proto.TypeWorkComplete, h, "second")
	}},
	{group: "loss", name: "CANT_DO leaves the running job alone", not: onGearmand, run: func(c *check) {
		client := c.dial("client")
		h := client.submit(proto.TypeSubmitJob, "f", "", "x")
		w := c.worker("worker", "f")
		w.grab(h, "f", "x")
		w.send(proto.TypeCantDo, "f")
		w.sync()
		c.status("f 1 1 0")
		w.send(proto.TypeWorkComplete, h, "")
		client.want(proto.TypeWorkComplete, h, "")
	}},
	{group: "loss", name: "RESET_ABILITIES requeues what the connection runs", not: onPerl, run: func(c *check) {
		client := c.dial("client")
		h := client.submit(proto.TypeSubmitJobBG, "f", "", "x")
		w := c.worker("worker", "f", "g")
		w.grab(h, "f", "x")
		w.send(proto.TypeResetAbilities)
		w.send(proto.TypeWorkComplete, h, "")
		w.want(proto.TypeError, "JOB_NOT_FOUND", "Job given in work result not found")
		c.status("f 1 0 0", "g 0 0 0")
	}},
	{group: "loss", name: "CANT_DO of another function leaves the job alone", run: func(c *check) {
		client := c.dial("client")
		h := client.submit(proto.TypeSubmitJob, "f", "", "x")
		w := c.worker("worker", "f", "g")
		w.grab(h, "f", "x")
		w.send(proto.TypeCantDo, "g")
		w.send(proto.TypeWorkComplete, h, "")
		client.want(proto.TypeWorkComplete, h, "")
	}},
	{group: "loss", name: "a queued job whose client left stays counted until a worker passes", not: onPerl, run: func(c *check) {
		client := c.dial("client")
		h := client.submit(proto.TypeSubmitJob, "f", "", "x")
		client.close()
		c.settles("show jobs\n", h+"\t0\t1\t0")
		c.status("f 1 0 0")
		c.worker("worker", "f").grabNothing()
		c.status("f 0 0 1")
	}},
	{group: "loss", name: "PRE_SLEEP clears abandoned jobs too", not: onPerl, run: func(c *check) {
		client := c.dial("client")
		h := client.submit(proto.TypeSubmitJob, "f", "", "x")
		client.close()
		c.settles("show jobs\n", h+"\t0\t1\t0")
		w := c.worker("worker", "f")
		w.sleep()
		c.status("f 0 0 1")
	}},
	{group: "loss", name: "a running job whose client left runs to its end", run: func(c *check) {
		client := c.dial("client")
		h := client.submit(proto.TypeSubmitJob, "f", "", "x")
		w := c.worker("worker", "f")
		w.grab(h, "f", "x")
		client.close()
		time.Sleep(20 * time.Millisecond) // the server may see it before or after; the row holds either way
		c.status("f 1 1 1")
		w.send(proto.TypeWorkComplete, h, "")
		w.sync()
		c.status("f 0 0 1")
	}},
	{group: "loss", name: "client gone, then worker gone: the job is dropped", not: onPerl, run: func(c *check) {
		client := c.dial("client")
		h := client.submit(proto.TypeSubmitJob, "f", "", "x")
		w := c.worker("dies", "f")
		w.grab(h, "f", "x")
		client.close()
		c.settles("show jobs\n", h+"\t0\t1\t0")
		w.close()
		c.status("f 1 0 0")
		c.worker("next", "f").grabNothing()
		c.status("f 0 0 1")
	}},
	{group: "loss", name: "PRE_SLEEP can free a job of another function (delayed and abandoned LOW job)", not: onPerl, run: func(c *check) {
		client, leaves := c.dial("client"), c.dial("leaves")
		later := client.submit(proto.TypeSubmitJobEpoch, "f", "", epoch(time.Hour), "later")
		gone := leaves.submit(proto.TypeSubmitJobLow, "f", "", "low")
		leaves.close()
		c.settles("show jobs\n", later+"\t0\t0\t1", gone+"\t0\t1\t0")
		client.submit(proto.TypeSubmitJobBG, "victim", "", "x")
		w := c.worker("worker", "victim", "f")
		w.send(proto.TypePreSleep)
		w.want(proto.TypeNoop)
		w.sync()
		c.status("f 2 0 1", "victim 0 0 1")
	}},
}
