package cluster

import (
	"context"
	"fmt"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman"
	"github.com/gearman-operator/gearman-operator/gearman/admin"
	"github.com/gearman-operator/gearman-operator/gearman/client"
)

var (
	jobServerLabels = map[string]string{"app.kubernetes.io/name": "gearmand"}
	ledgerLabels    = map[string]string{"app.kubernetes.io/name": "ledger"}
)

// waitLimit is how long to wait for a job server that is reached via a busy API server.
const waitLimit = 30 * time.Second

// Job is one job of the function "reverse": it takes a given time and reverses its text.
type Job struct {
	ID   string
	Long time.Duration
	Text string
}

func (j Job) workload() []byte { return fmt.Appendf(nil, "%s %.3f %s", j.ID, j.Long.Seconds(), j.Text) }

// Submit submits the jobs to the job server, in the background. The ids are also the jobs' unique
// keys, so a job that is submitted again while it waits is not duplicated.
func (s *Stage) Submit(ctx context.Context, jobs []Job) error { return s.SubmitTo(ctx, PoolName, jobs) }

// SubmitTo is like Submit, for another function than "reverse".
func (s *Stage) SubmitTo(ctx context.Context, function string, jobs []Job) error {
	return s.client(ctx, func(c *client.Client) error {
		for _, j := range jobs {
			c.Produce(ctx, &client.Task{Function: function, Payload: j.workload(), Key: gearman.Key(j.ID)}, nil)
		}
		return c.Flush(ctx)
	})
}

// Do runs a job of any function in the foreground and returns its result.
func (s *Stage) Do(ctx context.Context, task *client.Task) (result []byte, err error) {
	err = s.client(ctx, func(c *client.Client) error {
		result, err = c.Do(ctx, task)
		return err
	})
	return result, err
}

func (s *Stage) client(ctx context.Context, do func(*client.Client) error) error {
	return s.jobServer(ctx, func(address string) (err error) {
		c, err := client.New(client.Options{Servers: []string{address}, ConnectTimeout: waitLimit})
		if err != nil {
			return err
		}
		defer func() {
			if e := c.Close(); err == nil {
				err = e
			}
		}()
		return do(c)
	})
}

// Queue is what the job server reports of a function.
type Queue struct{ Queued, Running int }

// Queue polls the job server for the function "reverse".
func (s *Stage) Queue(ctx context.Context) (Queue, error) { return s.QueueOf(ctx, PoolName) }

// QueueOf is like Queue, for another function.
func (s *Stage) QueueOf(ctx context.Context, function string) (Queue, error) {
	var q Queue
	err := s.jobServer(ctx, func(address string) error {
		c, err := admin.Dial(ctx, address, admin.Options{ConnectTimeout: waitLimit, Timeout: waitLimit})
		if err != nil {
			return err
		}
		defer c.Close()
		rows, err := c.Status(ctx)
		for _, row := range rows {
			if row.Function == function {
				q = Queue{Queued: int(row.Queued()), Running: int(row.Running)}
			}
		}
		return err
	})
	return q, err
}

// jobServer calls do with the address of a tunnel to the job server, opened for this call, so that
// it also finds a job server that came back in a new pod.
func (s *Stage) jobServer(ctx context.Context, do func(address string) error) error {
	tunnel, err := s.Tunnel(ctx, s.Namespace, jobServerLabels, 4730)
	if err != nil {
		return err
	}
	defer tunnel.Close()
	return do(tunnel.Address)
}
