package worker

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/gearmantest"
	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

// TestFewSlotsAreWoken checks that a job costs a job server little no matter how many slots are
// idle, and that many jobs at once get all of them at once.
func TestFewSlotsAreWoken(t *testing.T) {
	t.Parallel()
	const slots = 300
	synctest.Test(t, func(t *testing.T) {
		s := gearmantest.NewServer(gearmantest.InMemory("10.0.0.1:4730"))
		var running, most atomic.Int64
		long := atomic.Bool{}
		h := func(context.Context, *Job) ([]byte, error) {
			most.Store(max(most.Load(), running.Add(1)))
			defer running.Add(-1)
			if long.Load() {
				time.Sleep(time.Minute)
			}
			return nil, nil
		}
		// With this interval no connection polls on its own, which would hide a missing wake-up.
		o := Options{Concurrency: slots, RegrabMin: 24 * time.Hour, RegrabMax: 24 * time.Hour}
		inBubble(t, o, []*gearmantest.Server{s}, map[string]Handler{"f": h}, func(*Worker) {
			time.Sleep(time.Second)
			for range 10 {
				before := requests(s, proto.TypeGrabJobUniq)
				s.Submit("f", "", nil)
				time.Sleep(time.Second)
				if n := requests(s, proto.TypeGrabJobUniq) - before; n < 1 || n > 2*fewSleepers+2 {
					t.Errorf("%d requests for one job with %d idle slots", n, slots)
				}
			}
			long.Store(true)
			for range 2 { // twice: the second time, all have been busy before
				for range slots {
					s.Submit("f", "", nil)
				}
				time.Sleep(time.Second)
				if n := running.Load(); n != slots {
					t.Errorf("%d of %d jobs run a second after they were submitted", n, slots)
				}
				time.Sleep(2 * time.Minute)
			}
			if n := s.Function("f").Total; n != 0 {
				t.Errorf("%d jobs are left", n)
			}
		})
	})
}

// TestOthersStandInForSleepers checks that other slots take a job at once if the sleeping ones
// can't: they run jobs of another job server, have lost their connection, or don't have the
// function.
func TestOthersStandInForSleepers(t *testing.T) {
	t.Parallel()
	slow := func(context.Context, *Job) ([]byte, error) { time.Sleep(time.Hour); return nil, nil }
	tests := map[string]func(t *testing.T, a, b *gearmantest.Server, w *Worker){
		"they run jobs of another server": func(_ *testing.T, a, _ *gearmantest.Server, _ *Worker) {
			for range 8 {
				a.Submit("slow", "", nil)
			}
		},
		"their connections are lost": func(_ *testing.T, _, b *gearmantest.Server, _ *Worker) { b.CloseConnections() },
		"they were all woken at once": func(_ *testing.T, _, b *gearmantest.Server, _ *Worker) {
			for i := range 8 {
				b.Submit("slow", fmt.Sprint(i), nil)
			}
		},
		"the functions were taken off for a while": func(t *testing.T, _, _ *gearmantest.Server, w *Worker) {
			for _, slots := range []int{0, AllSlots} {
				if err := w.Admit(slots, "f", "slow"); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute)
			}
		},
		"the other function was": func(t *testing.T, _, _ *gearmantest.Server, w *Worker) {
			if err := w.Admit(0, "slow"); err != nil {
				t.Fatal(err)
			}
		},
	}
	for name, disturb := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				a, b := gearmantest.NewServer(
					gearmantest.InMemory("10.0.0.1:4730"),
				), gearmantest.NewServer(gearmantest.InMemory("10.0.0.2:4730"))
				ran := make(chan string, 100)
				quick := func(_ context.Context, j *Job) ([]byte, error) { ran <- j.Server(); return nil, nil }
				o := Options{Concurrency: 20, RegrabMin: 24 * time.Hour, RegrabMax: 24 * time.Hour}
				inBubble(t, o, []*gearmantest.Server{a, b}, map[string]Handler{
					"f": quick, "slow": slow,
				}, func(w *Worker) {
					time.Sleep(time.Second)
					disturb(t, a, b, w)
					time.Sleep(time.Minute)
					for range 5 {
						begin := time.Now()
						b.Submit("f", "", nil)
						<-ran
						if took := time.Since(begin); took > time.Second {
							t.Errorf("a job was taken after %v", took)
						}
						time.Sleep(time.Second)
					}
				})
			})
		})
	}
}

// TestLimitedFunctionsAreTakenAtOnce checks that a function that only one slot has is never left to
// a slot that dozes.
func TestLimitedFunctionsAreTakenAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := gearmantest.NewServer(gearmantest.InMemory("10.0.0.1:4730"))
		w, err := New(
			Options{
				Servers: []string{s.Addr()}, Dialer: s.DialContext, Concurrency: 50, RegrabMin: 24 * time.Hour,
				RegrabMax: 24 * time.Hour,
			},
		)
		if err != nil {
			t.Fatal(err)
		}
		ran := make(chan string, 100)
		for i := range 10 {
			h := func(_ context.Context, j *Job) ([]byte, error) { ran <- j.Function(); return nil, nil }
			if err := w.Handle(Function{Name: fmt.Sprint("f", i), Handler: h, Slots: 1}); err != nil {
				t.Fatal(err)
			}
		}
		run := make(chan error, 1)
		go func() { run <- w.Run(context.Background()) }() // joined below
		time.Sleep(time.Minute)
		for i := range 10 {
			begin := time.Now()
			s.Submit(fmt.Sprint("f", i), "", nil)
			<-ran
			if took := time.Since(begin); took > time.Second {
				t.Errorf("a job of function %d was taken after %v", i, took)
			}
		}
		w.beginStop()
		if err := <-run; err != nil {
			t.Error(err)
		}
		s.Close()
	})
}
