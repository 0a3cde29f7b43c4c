package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/proto"
	"github.com/gearman-operator/gearman-operator/gearman/worker"
)

// waiters are the clients that wait for foreground jobs, each for one at a time.
const waiters = 16

// clients submit the jobs, again when a connection is lost. The unique key keeps a job that still
// exists from being duplicated.
type clients struct {
	addr string

	mu     sync.Mutex
	failed map[string]bool // foreground jobs
}

func (c *clients) submitAll(ctx context.Context, jobs []aJob) error {
	if c.failed == nil {
		c.failed = map[string]bool{}
	}
	queue := make(chan aJob)
	var wg sync.WaitGroup
	for range waiters {
		wg.Go(func() {
			for j := range queue {
				c.wait(ctx, j)
			}
		})
	}
	var background []aJob
	wg.Go(func() {
		defer close(queue)
		for _, j := range jobs {
			if !j.foreground {
				continue
			}
			select {
			case queue <- j:
			case <-ctx.Done():
				return
			}
		}
	})
	for _, j := range jobs {
		if !j.foreground {
			background = append(background, j)
		}
	}
	for batch := range slices.Chunk(background, 200) {
		for c.submit(ctx, batch) != nil {
			if !pause(ctx, 200*time.Millisecond) {
				break
			}
		}
	}
	wg.Wait()
	return context.Cause(ctx)
}

func (c *clients) exchange(ctx context.Context, request []byte, read func(*proto.Conn) error) error {
	nc, err := net.Dial("tcp", c.addr)
	if err != nil {
		return err
	}
	defer nc.Close()
	return proto.NewConn(nc, proto.Limits{}).Exchange(ctx, request, read)
}

func (c *clients) submit(ctx context.Context, jobs []aJob) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	var request []byte
	for _, j := range jobs {
		request = proto.AppendSubmit(request, proto.TypeSubmitJobBG, "jobs", j.id, j.workload())
	}
	return c.exchange(ctx, request, func(in *proto.Conn) error {
		for range jobs {
			if p, err := in.Next(); err != nil || p.Type != proto.TypeJobCreated {
				return fmt.Errorf("%v: %w", p, err)
			}
		}
		return nil
	})
}

// wait runs a foreground job to its end.
func (c *clients) wait(ctx context.Context, j aJob) {
	for ctx.Err() == nil {
		var end proto.Type
		err := c.exchange(ctx, proto.AppendSubmit(
			nil, proto.TypeSubmitJob, "jobs", j.id, j.workload(),
		), func(in *proto.Conn) error {
			for {
				p, err := in.Next()
				if err != nil {
					return err
				}
				switch end = p.Type; end {
				case proto.TypeWorkComplete, proto.TypeWorkFail, proto.TypeWorkException, proto.TypeError:
					return nil
				}
			}
		})
		if err != nil {
			pause(ctx, 200*time.Millisecond)
			continue
		}
		if end != proto.TypeWorkComplete {
			c.mu.Lock()
			c.failed[j.id] = true
			c.mu.Unlock()
		}
		return
	}
}

// buried takes the dead letters off the job server: the reason by the job's id.
func buried(ctx context.Context, addr string) (map[string]string, error) {
	c := &clients{addr: addr}
	reasons := map[string]string{}
	err := c.exchange(ctx, proto.AppendEmpty(
		proto.AppendCanDo(nil, "jobs.dead"), proto.Request, proto.TypeGrabJob,
	), func(in *proto.Conn) error {
		for {
			p, err := in.Next()
			if err != nil || p.Type == proto.TypeNoJob {
				return err
			}
			a, err := p.Assignment()
			if err != nil {
				return err
			}
			d, payload, err := worker.ParseDeadLetter(a.Payload)
			if err != nil {
				return err
			}
			var kind, id string
			_, _ = fmt.Sscan(string(payload), &kind, &id)
			reasons[id] = d.Reason
			next := proto.AppendWork(nil, proto.Request, proto.TypeWorkComplete, string(a.Handle), "")
			if _, err := in.Write(proto.AppendEmpty(next, proto.Request, proto.TypeGrabJob)); err != nil {
				return err
			}
		}
	})
	return reasons, err
}

// cost returns by how many percent retries lower the throughput of jobs that don't fail: medians of
// three rounds each, interleaved.
func cost(ctx context.Context, o *options, dir string) (float64, error) {
	s, err := startServer(ctx, dir, false)
	if err != nil {
		return 0, err
	}
	defer s.kill()
	journal := filepath.Join(dir, "journal")
	if err := os.Mkdir(journal, 0o755); err != nil {
		return 0, err
	}
	with := []string{"--retry-attempts", "5", "--dead-letter-function", "dead", "--journal-dir", journal}
	var took [2][]time.Duration
	for range 3 {
		for i, flags := range [][]string{nil, with} {
			jobs := make([]aJob, o.cost)
			for n := range jobs {
				jobs[n] = aJob{kind: "good", id: itoa(n)}
			}
			if err := (&clients{addr: s.addr}).submitAll(ctx, jobs); err != nil {
				return 0, err
			}
			args := append(
				[]string{
					"exec", "--server", s.addr, "--function", "jobs", "--concurrency", "2", "--until-empty",
					"--log-level", "error",
				},
				flags...,
			)
			begin := time.Now()
			if out, err := exec.CommandContext(
				ctx, o.worker, append(args, "--", "/bin/true")...,
			).CombinedOutput(); err != nil {
				return 0, fmt.Errorf("%w: %s", err, out)
			}
			took[i] = append(took[i], time.Since(begin))
		}
	}
	slices.Sort(took[0])
	slices.Sort(took[1])
	fmt.Printf("%d jobs: without retries %v, with %v\n", o.cost, took[0], took[1])
	return 100 * (1 - took[0][1].Seconds()/took[1][1].Seconds()), nil
}
