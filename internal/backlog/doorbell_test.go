package backlog

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/gearmantest"
	"github.com/gearman-operator/gearman-operator/gearman/gearmantest/jobserver"
	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

// bellTest has a pool at zero with a doorbell, on an in-memory job server.
type bellTest struct {
	t   *testing.T
	srv *gearmantest.Server
	w   *Watcher
	k   *ticks
}

var atDoor = Subscription{Servers: []string{"10.0.0.1"}, Functions: []string{"f", "g"}, AtZero: true, Doorbell: true}

func testBell(t *testing.T, f func(*testing.T, *bellTest), o ...gearmantest.Options) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		d := &bellTest{t: t, srv: m.server(t, "10.0.0.1:4730", o...), k: &ticks{}}
		d.w = m.watch(t, Options{OnTick: d.k.onTick})
		set(t, d.w, poolA, atDoor)
		time.Sleep(10 * time.Second)
		f(t, d)
	})
}

// listening reports whether the server lists the doorbell as a worker of a function.
func (d *bellTest) listening(function string) bool { return d.srv.Function(function).Workers > 0 }

func TestDoorbellRings(t *testing.T) {
	t.Parallel()
	testBell(t, func(t *testing.T, d *bellTest) {
		d.k.take(poolA)
		for range 5 {
			if !d.listening("f") || !d.listening("g") {
				t.Fatal("it doesn't listen")
			}
			submitted := time.Now()
			d.srv.Submit("f", "", []byte("x"))
			time.Sleep(5 * time.Millisecond)
			if got := d.k.take(poolA); len(got) != 1 || got[0].Sub(submitted) > 5*time.Millisecond {
				t.Fatalf("submitted at %v, the pool was due at %v", submitted, got)
			}
			if s := sample(t, d.w, poolA); s.Functions[0].Queued != 1 || s.Functions[0].Workers != 0 {
				t.Errorf("%+v", s.Functions)
			}
			if f := d.srv.Function("f"); d.listening("f") || f.Total != 1 || f.Running != 0 {
				t.Errorf("after it rang: %+v", f)
			}
			time.Sleep(5 * time.Second)
			if d.listening("f") || !d.listening("g") {
				t.Error("it must not listen for a function that has jobs, but for the others")
			}
			worker := connect(t, d.srv)
			worker.send(proto.AppendEmpty(proto.AppendCanDo(nil, "f"), proto.Request, proto.TypeGrabJob))
			p, err := worker.conn.Next()
			if err != nil {
				t.Fatal(err)
			}
			job, err := p.Assignment()
			if err != nil {
				t.Fatal(err)
			}
			worker.send(proto.AppendWork(nil, proto.Request, proto.TypeWorkComplete, job.Handle, ""))
			time.Sleep(3 * time.Second)
			if s := sample(t, d.w, poolA); s.Functions[0].Workers != 1 {
				t.Errorf("a worker of others: %+v", s.Functions[0])
			}
			worker.conn.Close()
			time.Sleep(5 * time.Second)
			d.k.take(poolA)
		}
	})
}

// It listens only for functions of a pool at zero that no other worker has and that have no jobs.
func TestDoorbellKeepsOut(t *testing.T) {
	t.Parallel()
	testBell(t, func(t *testing.T, d *bellTest) {
		worker := connect(t, d.srv)
		worker.send(proto.AppendCanDo(nil, "f"))
		time.Sleep(1200 * time.Millisecond)
		if n := d.srv.Function("f").Workers; n != 1 || !d.listening("g") {
			t.Errorf("%d workers of f, another's is one", n)
		}
		worker.conn.Close()
		time.Sleep(5 * time.Second)
		if n := d.srv.Function("f").Workers; n != 1 {
			t.Errorf("%d workers of f after the other left", n)
		}
		// A pool that is about to start pods: it unregisters at once.
		up := atDoor
		up.AtZero = false
		set(t, d.w, poolA, up)
		time.Sleep(time.Millisecond)
		if d.listening("f") || d.listening("g") {
			t.Error("it listens for a pool that isn't at zero")
		}
		set(t, d.w, poolA, atDoor)
		time.Sleep(2 * time.Second)
		if !d.listening("f") {
			t.Error("it doesn't listen for a pool that is at zero again")
		}
		off := atDoor
		off.Doorbell = false
		set(t, d.w, poolA, off)
		time.Sleep(time.Millisecond)
		if d.listening("f") {
			t.Error("it listens for a pool that doesn't want it")
		}
		set(t, d.w, poolA, atDoor)
		time.Sleep(2 * time.Second)
		d.w.Remove(poolA)
		time.Sleep(time.Second)
		if n := d.srv.Stats().Open; n != 0 {
			t.Errorf("%d connections are left", n)
		}
	})
}

// On a server that wakes only one worker, a real worker is woken though the doorbell was registered
// before.
func TestDoorbellTakesNoWakeUp(t *testing.T) {
	t.Parallel()
	testBell(t, func(t *testing.T, d *bellTest) {
		worker := connect(t, d.srv)
		if got := worker.do(
			proto.AppendEmpty(proto.AppendCanDo(nil, "f"), proto.Request, proto.TypeGrabJob),
		); got != proto.TypeNoJob {
			t.Fatal(got)
		}
		worker.send(proto.AppendEmpty(nil, proto.Request, proto.TypePreSleep))
		time.Sleep(1200 * time.Millisecond)
		for range 10 {
			d.srv.Submit("f", "", []byte("x"))
			p, err := worker.conn.Next()
			if err != nil || p.Type != proto.TypeNoop {
				t.Fatalf("%v, %v", p, err)
			}
			if got := worker.do(proto.AppendEmpty(nil, proto.Request, proto.TypeGrabJob)); got != proto.TypeJobAssign {
				t.Fatal(got)
			}
			worker.send(proto.AppendEmpty(nil, proto.Request, proto.TypePreSleep))
			time.Sleep(time.Second)
		}
	}, gearmantest.Options{WorkerWakeup: 1})
}

// However the server behaves, arming costs it no more than one connection a second.
func TestDoorbellIsBounded(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		fault gearmantest.Fault
		upset func(*bellTest) // each 50 ms
		most  uint64
	}{
		"pools come and go": {upset: func(d *bellTest) {
			key := PoolKey{"ns", "b"}
			if _, ok := d.w.Sample(key, time.Now()); ok {
				d.w.Remove(key)
			} else {
				set(
					d.t, d.w, key,
					Subscription{Servers: []string{"10.0.0.1"}, Functions: []string{"h"}, AtZero: true, Doorbell: true},
				)
			}
		}, most: 110},
		"jobs come and are gone": {upset: func(d *bellTest) {
			d.srv.Submit("f", "", []byte("x"))
			time.Sleep(time.Millisecond)
			d.srv.Restart()
		}, most: 110},
		"rings all the time": {
			fault: gearmantest.Fault{Garbage: proto.AppendEmpty(nil, proto.Response, proto.TypeNoop)}, most: 110,
		},
		"garbage": {fault: gearmantest.Fault{Garbage: []byte("garbage")}, most: 40},
		"hangs":   {fault: gearmantest.Fault{Hang: true}, most: 40},
		"closes":  {fault: gearmantest.Fault{DropOn: proto.TypePreSleep}, most: 40},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testBell(t, func(t *testing.T, d *bellTest) {
				d.srv.SetFault(tt.fault)
				d.srv.CloseConnections()
				before := d.srv.Stats().Requests[proto.TypePreSleep]
				for range 2000 { // 100 s
					if tt.upset != nil {
						tt.upset(d)
					}
					time.Sleep(50 * time.Millisecond)
				}
				if n := d.srv.Stats().Requests[proto.TypePreSleep] - before; n > tt.most {
					t.Errorf("armed %d times in 100 s", n)
				}
				d.srv.SetFault(gearmantest.Fault{})
				time.Sleep(2 * time.Minute)
				if !d.listening("f") {
					t.Error("it doesn't listen after all is well")
				}
			})
		})
	}
}

// The doorbell on real job servers: it rings, keeps nothing, and leaves the wake-up to a real
// worker.
func TestRealDoorbell(t *testing.T) {
	t.Parallel()
	servers := map[string]func(*testing.T) *jobserver.Server{
		"gearmand": func(t *testing.T) *jobserver.Server { return jobserver.Gearmand(t) },
		"gearmand --worker-wakeup=1": func(t *testing.T) *jobserver.Server {
			return jobserver.Gearmand(t, "--worker-wakeup=1")
		},
		"Perl": func(t *testing.T) *jobserver.Server { return jobserver.Perl(t) },
	}
	for name, start := range servers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := start(t)
			rung := make(chan time.Time, 100)
			var w *Watcher
			w = watchReal(t, Options{MinPeriod: 10 * time.Second, OnTick: func(
				[]PoolKey, bool,
			) { // polls alone would take 10 s to see a job
				if s, ok := w.Sample(poolA, time.Now()); ok && s.Functions[0].Total > 0 {
					rung <- time.Now()
				}
			}})
			sub := Subscription{
				Servers: []string{srv.Addr}, Functions: []string{"f"}, AtZero: true, Doorbell: true,
				Period: 20 * time.Second,
			}
			set(t, w, poolA, sub)
			workers := func() int {
				for _, s := range dialReal(t, srv.Addr).status() {
					if s.name == "f" {
						return s.workers
					}
				}
				return 0
			}
			until := func(what string, ok func() bool) {
				t.Helper()
				for end := time.Now().Add(waitLimit); !ok(); time.Sleep(20 * time.Millisecond) {
					if time.Now().After(end) {
						t.Fatalf("%s: not within %v", what, waitLimit)
					}
				}
			}
			until("it listens", func() bool { return workers() == 1 })
			client := dialReal(t, srv.Addr)
			submitted := time.Now()
			client.submit("f")
			select {
			case at := <-rung:
				t.Logf("the pool was due %v after the submit", at.Sub(submitted))
			case <-time.After(8 * time.Second):
				t.Fatal("it didn't ring")
			}
			until("it leaves", func() bool { return workers() == 0 })
			up := sub
			up.AtZero = false
			set(t, w, poolA, up)

			// The new worker takes the job, sleeps, and is woken for the next one.
			worker := dialReal(t, srv.Addr)
			if got := worker.do(
				proto.AppendEmpty(proto.AppendCanDo(nil, "f"), proto.Request, proto.TypeGrabJob),
			); got != proto.TypeJobAssign {
				t.Fatal(got)
			}
			worker.send(proto.AppendEmpty(nil, proto.Request, proto.TypePreSleep))
			set(t, w, poolA, sub) // at zero again by mistake: another worker has the function, so it does not register
			for range 3 {
				client.submit("f")
				if p, err := worker.conn.Next(); err != nil || p.Type != proto.TypeNoop {
					t.Fatalf("%v, %v", p, err)
				}
				if got := worker.do(
					proto.AppendEmpty(nil, proto.Request, proto.TypeGrabJob),
				); got != proto.TypeJobAssign {
					t.Fatal(got)
				}
				worker.send(proto.AppendEmpty(nil, proto.Request, proto.TypePreSleep))
			}
		})
	}
}

type statusRow struct {
	name           string
	total, workers int
}

// status requests a real server's status.
func (c *client) status() (rows []statusRow) {
	c.t.Helper()
	defer c.conn.Close()
	c.send([]byte("status\n"))
	for {
		line, err := c.conn.ReadLine()
		if err != nil {
			c.t.Fatal(err)
		}
		if string(line) == proto.EndOfRows {
			return rows
		}
		r, err := proto.ParseStatusRow(line)
		if err != nil {
			c.t.Fatal(err)
		}
		rows = append(rows, statusRow{string(r.Function), int(r.Total), int(r.Workers)})
	}
}
