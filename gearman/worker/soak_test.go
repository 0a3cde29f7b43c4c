package worker

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/gearmantest/jobserver"
	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

// ledger counts how often each job ran, and records how it ended if its worker has a hook.
type ledger struct {
	mu       sync.Mutex
	runs     []int
	hooked   int // runs in workers with a hook
	outcomes map[Outcome]int
}

func (l *ledger) ran(id uint32, hooked bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.runs[id]++
	if hooked {
		l.hooked++
	}
}

// TestDrainUnderLoad stops a worker softly, over and over, at any moment of its life, while jobs
// wait and arrive; the next worker continues. In the end each job must have run exactly once. Half
// of the workers have no hook: they send outcomes when they read on. SOAK_RUNS sets the number of
// stops (20); `make soak-drain` makes many.
func TestDrainUnderLoad(t *testing.T) {
	t.Parallel()
	stops := 20
	if s := os.Getenv("SOAK_RUNS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatalf("SOAK_RUNS=%s is not a number", s)
		}
		stops = n
	}
	addrs := []string{jobserver.Gearmand(t).Addr, jobserver.Gearmand(t).Addr}
	led := &ledger{outcomes: make(map[Outcome]int)}
	var clients []*rawClient
	for _, a := range addrs {
		clients = append(clients, newClient(t, a))
	}
	submitted := 0
	feed := func(n int) {
		for range n {
			led.mu.Lock()
			led.runs = append(led.runs, 0)
			led.mu.Unlock()
			id := binary.BigEndian.AppendUint32(nil, uint32(submitted))
			clients[submitted%2].submit(proto.TypeSubmitJobBG, []string{"f", "g"}[submitted/2%2], "", string(id))
			submitted++
		}
	}
	newWorker := func() *Worker {
		o := Options{Servers: addrs, Concurrency: 1 + rand.IntN(4)}
		hooked := rand.IntN(2) == 0
		if hooked {
			o.Hooks.JobDone = func(_ *Job, d Done) {
				led.mu.Lock()
				defer led.mu.Unlock()
				led.outcomes[d.Outcome]++
			}
		}
		w, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		handler := func(_ context.Context, j *Job) ([]byte, error) {
			led.ran(binary.BigEndian.Uint32(j.Payload()), hooked)
			time.Sleep(rand.N(2 * time.Millisecond))
			return nil, nil
		}
		for _, f := range []string{"f", "g"} {
			if err := w.Handle(Function{Name: f, Handler: handler}); err != nil {
				t.Fatal(err)
			}
		}
		return w
	}
	for range stops {
		feed(10)
		w := newWorker()
		done := make(chan error, 1)
		go func() { done <- w.Run(context.WithoutCancel(t.Context())) }() // joined below
		if rand.IntN(4) > 0 {
			<-w.Ready()
		}
		time.Sleep(rand.N(12 * time.Millisecond))
		feed(rand.IntN(3))
		w.beginStop()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	w := newWorker() // runs the jobs that are left
	done := make(chan error, 1)
	go func() { done <- w.Run(context.WithoutCancel(t.Context())) }() // joined below
	queued := func() (n uint64) {
		for _, a := range addrs {
			for _, f := range []string{"f", "g"} {
				n += status(t, a, f).Total
			}
		}
		return n
	}
	for left := queued(); left > 0; { // no time limit, as long as the machine makes progress
		before := left
		eventually(t, fmt.Sprintf("fewer than %d jobs are left", before), func() bool {
			left = queued()
			return left < before
		})
	}
	w.beginStop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	lost, twice := 0, 0
	for id, n := range led.runs {
		switch {
		case n == 0:
			lost++
			t.Errorf("job %d was lost", id)
		case n > 1:
			twice++
			t.Errorf("job %d ran %d times", id, n)
		}
	}
	if led.outcomes[Complete] != led.hooked {
		t.Errorf("outcomes %v of %d jobs", led.outcomes, led.hooked)
	}
	fmt.Printf(
		"RESULT {\"soft_stops\":%d,\"jobs\":%d,\"jobs_lost\":%d,\"jobs_run_twice\":%d}\n", stops, submitted, lost,
		twice,
	)
}
