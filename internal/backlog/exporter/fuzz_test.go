package exporter

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/gearman-operator/gearman-operator/internal/backlog"
	"github.com/gearman-operator/gearman-operator/internal/backlog/backlogtest"
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
			w := backlogtest.Watch(
				t, backlog.Options{ForeignFunctions: 20, Timeout: time.Second},
				map[string]backlogtest.Answers{"10.0.0.1": {"status": status, "workers": workers}},
			)
			key := backlog.PoolKey{Namespace: "ns", Name: "pool"}
			sub := backlog.Subscription{
				Servers: []string{"10.0.0.1"}, Functions: []string{"resize"}, Period: time.Second,
			}
			if err := w.Set(key, sub); err != nil {
				t.Fatal(err)
			}
			w.SetPods(key, []backlog.PodRef{{UID: "0a1b2c3d-0000", Name: "pool-1"}})
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
		})
	})
}
