package cluster

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

var (
	jobServerLabels = map[string]string{"app.kubernetes.io/name": "gearmand"}
	ledgerLabels    = map[string]string{"app.kubernetes.io/name": "ledger"}
)

// Job is one job of the function "reverse": it takes so long and reverses its text.
type Job struct {
	ID   string
	Long time.Duration
	Text string
}

func (j Job) workload() string { return fmt.Sprintf("%s %.3f %s", j.ID, j.Long.Seconds(), j.Text) }

// Submit hands the jobs to the job server, in the background. The ids are the jobs' unique keys too, so a job that is submitted again
// while it waits is not taken twice.
func (s *Stage) Submit(ctx context.Context, jobs []Job) error {
	return s.jobServer(ctx, func(conn *proto.Conn) error {
		var request []byte
		for _, j := range jobs {
			request = proto.AppendSubmit(request, proto.TypeSubmitJobBG, PoolName, j.ID, j.workload())
		}
		return conn.Exchange(ctx, request, func(conn *proto.Conn) error {
			for _, j := range jobs {
				p, err := conn.Next()
				if err != nil {
					return fmt.Errorf("submitting %s: %w", j.ID, err)
				}
				if p.Type != proto.TypeJobCreated {
					return fmt.Errorf("submitting %s: the job server answers %s", j.ID, p)
				}
			}
			return nil
		})
	})
}

// Queue is what the job server says of the function "reverse".
type Queue struct{ Queued, Running int }

// Queue asks the job server.
func (s *Stage) Queue(ctx context.Context) (Queue, error) {
	var q Queue
	err := s.jobServer(ctx, func(conn *proto.Conn) error {
		return conn.Exchange(ctx, []byte("status\n"), func(conn *proto.Conn) error {
			for {
				line, err := conn.ReadLine()
				if err != nil || string(line) == "." {
					return err
				}
				row, err := proto.ParseStatusRow(line)
				if err != nil {
					return err
				}
				if string(row.Function) == PoolName {
					q = Queue{Queued: int(row.Total) - int(row.Running), Running: int(row.Running)}
				}
			}
		})
	})
	return q, err
}

// jobServer calls do with a connection through a tunnel of its own, so that a job server that came back in a new pod is found.
func (s *Stage) jobServer(ctx context.Context, do func(*proto.Conn) error) error {
	tunnel, err := s.Tunnel(ctx, s.Namespace, jobServerLabels, 4730)
	if err != nil {
		return err
	}
	defer tunnel.Close()
	var d net.Dialer
	nc, err := d.DialContext(ctx, "tcp", tunnel.Address)
	if err != nil {
		return err
	}
	defer nc.Close()
	return do(proto.NewConn(nc, proto.Limits{}))
}
