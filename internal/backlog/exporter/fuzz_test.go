package exporter

import (
	"bufio"
	"context"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/proto"
	"github.com/gearman-operator/gearman-operator/internal/backlog"
	"github.com/gearman-operator/gearman-operator/internal/backlog/series"
)

// Whatever a job server answers, a scrape succeeds, shows the pool's function if the server's state
// is OK, and shows each series once.
func FuzzPollAndScrape(f *testing.F) {
	f.Add([]byte("resize\t5\t2\t1\n.\n"), []byte(".\n"))
	f.Add([]byte("bad\xff\t1\t0\t0\n\"bad\\xff\"\t1\t0\t0\n.\n"), []byte("1 10.0.0.1 - : f\n.\n"))
	f.Add([]byte("resize\x00\t1\t4294967295\t0\nresize\t1\t0\t0\n.\n"), []byte(".\n.\n"))
	f.Add([]byte("\t1\t1\t1\n\"\t1\t1\t1\n\"\\\"\"\t1\t1\t1\n.\n"), []byte("x\n.\n"))
	f.Add([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"), []byte(""))
	f.Fuzz(func(t *testing.T, status, workers []byte) {
		synctest.Test(t, func(t *testing.T) {
			var wg sync.WaitGroup
			w := backlog.New(backlog.Options{
				ForeignFunctions: 20, Timeout: time.Second,
				Dial: func(context.Context, netip.AddrPort) (net.Conn, error) {
					ours, theirs := net.Pipe()
					wg.Go(func() { answer(theirs, map[string][]byte{"status\n": status, "workers\n": workers}) })
					return ours, nil
				},
			})
			key := backlog.PoolKey{Namespace: "ns", Name: "pool"}
			sub := backlog.Subscription{
				Servers: []string{"10.0.0.1"}, Functions: []string{"resize"}, Period: time.Second,
			}
			if err := w.Set(key, sub); err != nil {
				t.Fatal(err)
			}
			w.SetPods(key, []backlog.PodRef{{UID: "0a1b2c3d-0000", Name: "pool-1"}})
			ctx, cancel := context.WithCancel(t.Context())
			wg.Go(func() {
				if err := w.Run(ctx); err != nil {
					t.Error(err)
				}
			})
			time.Sleep(3500 * time.Millisecond)
			s, _ := w.Sample(key, time.Now())
			shown, _ := gather(t, New(w, Options{MaxSeries: 1000}))
			if fresh := s.Servers[0].Fresh; fresh && shown < series.PerServer+series.PerFunction {
				t.Errorf("%d series of a server that answers", shown)
			}
			if held := w.Bytes(); held > 1<<20 {
				t.Errorf("%d bytes are held", held)
			}
			if fn := s.Functions[0]; fn.Queued < 0 || fn.Running < 0 || fn.Queued+fn.Running != fn.Total {
				t.Errorf("%+v", fn)
			}
			cancel()
			wg.Wait()
		})
	})
}

// answer plays a job server that knows two commands and echo requests.
func answer(conn net.Conn, answers map[string][]byte) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	for {
		first, err := in.Peek(1)
		if err != nil {
			return
		}
		var reply []byte
		if first[0] == 0 {
			packet, err := in.Peek(12)
			if err != nil || proto.Type(packet[7]) != proto.TypeEchoReq {
				return
			}
			packet, err = in.Peek(12 + int(packet[11]))
			if err != nil {
				return
			}
			reply = proto.AppendEcho(nil, proto.Response, packet[12:])
			_, _ = in.Discard(len(packet)) // they are there
		} else {
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			reply = answers[line]
		}
		if _, err := conn.Write(reply); err != nil {
			return
		}
	}
}
