package client_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/gearman-operator/gearman-operator/gearman"
	"github.com/gearman-operator/gearman-operator/gearman/client"
)

// halfDead is a connection whose writes fail before its reads do, as after a TLS alert from the
// peer.
type halfDead struct {
	net.Conn
	noticed chan struct{}
	once    sync.Once
}

var errAlert = errors.New("remote error: tls: certificate required")

func (c *halfDead) Write([]byte) (int, error) { return 0, errAlert }
func (c *halfDead) Close() error              { return nil }
func (c *halfDead) Read([]byte) (int, error) {
	<-c.noticed
	return 0, errAlert
}

func (c *halfDead) end() { c.once.Do(func() { close(c.noticed) }) }

// TestRefusedWhileWriting checks that between a failed write and the end of its connection, calls
// are refused before any part of them is sent. Each error names the job server and the failure,
// whichever method was called.
func TestRefusedWhileWriting(t *testing.T) {
	t.Parallel()
	large := make([]byte, 1<<20)
	tests := map[string]func(context.Context, *client.Client) error{
		"background": func(ctx context.Context, c *client.Client) error {
			_, err := c.Background(ctx, &client.Task{Function: "f"})
			return err
		},
		"foreground": func(ctx context.Context, c *client.Client) error {
			_, err := c.Do(ctx, &client.Task{Function: "f"})
			return err
		},
		"large background": func(ctx context.Context, c *client.Client) error {
			_, err := c.Background(ctx, &client.Task{Function: "f", Payload: large})
			return err
		},
		"echo": func(ctx context.Context, c *client.Client) error { return c.Echo(ctx, nil) },
		"status": func(ctx context.Context, c *client.Client) error {
			_, err := c.Status(ctx, gearman.JobID{Server: "192.0.2.1:4730", Handle: "H:x:1"})
			return err
		},
		"status by unique key": func(ctx context.Context, c *client.Client) error {
			_, err := c.StatusByKey(ctx, "k")
			return err
		},
		"set": func(ctx context.Context, c *client.Client) error {
			results, err := c.RunSet(ctx, &client.Task{Function: "f"})
			return errors.Join(err, results[0].Err)
		},
		"produce": func(ctx context.Context, c *client.Client) error {
			var told error // for this job: the first error that Flush returns may be another job's
			c.Produce(ctx, &client.Task{Function: "f"}, func(_ gearman.JobID, err error) { told = err })
			_ = c.Flush(ctx)
			return told
		},
	}
	for name, call := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				pipe, other := net.Pipe()
				defer pipe.Close()
				defer other.Close()
				nc := &halfDead{Conn: pipe, noticed: make(chan struct{})}
				c, err := client.New(client.Options{
					Servers: []string{"192.0.2.1:4730"},
					Dialer:  func(context.Context, string, string) (net.Conn, error) { return nc, nil },
				})
				if err != nil {
					t.Fatal(err)
				}
				says := func(when string, err error) {
					t.Helper()
					if !errors.Is(err, errAlert) || strings.Count(err.Error(), "job server 192.0.2.1:4730") != 1 ||
						!strings.Contains(err.Error(), "write: ") {
						t.Errorf("%s: %v, want the server once, the step and %q", when, err, errAlert)
					}
				}
				first := make(chan error, 1)
				go func() { first <- call(t.Context(), c) }()
				synctest.Wait() // its write has failed, and its connection is still being read
				second := make(chan error, 1)
				go func() { second <- call(t.Context(), c) }()
				synctest.Wait()
				nc.end()
				says("the call whose write failed", <-first)
				says("a call after that", <-second)
				if err := c.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}
