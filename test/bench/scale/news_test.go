package scale

import (
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/gearman/gearmantest/jobserver"
	"github.com/gearman-operator/gearman-operator/gearman/proto"
	"github.com/gearman-operator/gearman-operator/test/bench/operator"
)

const (
	newsNamespace = "news"
	// realServers is how many gearmands there are for each way: a doorbell rings once a second at
	// most.
	realServers = 10
)

// news is how a pool at zero learns of a job.
type news struct {
	name    string
	wake    v1alpha1.WakePolicy
	servers []*jobserver.Server
}

// measureNews measures on real gearmands, while all the pools are idle, how long it takes from a
// submit to a pool at zero until its Deployment has a replica.
func (b *bench) measureNews(t *testing.T) {
	t.Helper()
	ways := []*news{{name: "poll", wake: v1alpha1.WakePoll}, {name: "doorbell", wake: v1alpha1.WakeNotify}}
	for _, way := range ways {
		for range realServers {
			way.servers = append(way.servers, jobserver.Gearmand(t))
		}
		for i := range b.samples {
			p := newPool(newsNamespace, newsName(way.name, i), way.servers[i%realServers].Addr, newsName(way.name, i))
			p.Spec.Scaling = &v1alpha1.ScalingSpec{Wake: way.wake}
			b.pods.house(p)
			if err := b.k8s.Create(t.Context(), p); err != nil {
				t.Fatal(err)
			}
		}
	}
	operator.Eventually(t, 2*time.Minute, "the pools on real job servers to be watched", func() error {
		e, err := b.operator.entries(t.Context())
		if err == nil && (e["wholeSamples"] < b.pools+2*b.samples || e["statusWrites"] > 0) {
			err = fmt.Errorf("%v", e)
		}
		return err
	})
	bare := b.bareWrites(t)
	for _, way := range ways {
		var wg sync.WaitGroup
		for s, server := range way.servers {
			wg.Go(func() {
				for i := s; i < b.samples; i += realServers {
					// After a ring, a doorbell is silent for a second or two. The pause also
					// varies, so that the submits meet all phases of the polls.
					operator.Pause(t, 3*time.Second+time.Duration(i%10)*100*time.Millisecond)
					b.scales.expect(newsNamespace + "/" + newsName(way.name, i))
					submit(t, server.Addr, newsName(way.name, i))
				}
			})
		}
		wg.Wait()
	}
	operator.Eventually(t, time.Minute, "the pools on real job servers to get a replica", func() error {
		if n := b.scales.missing(); n > 0 {
			return fmt.Errorf("%d have none", n)
		}
		return nil
	})
	wrote := bare()
	b.result["submit_to_patch_bare_write_p50_ms"], b.result["submit_to_patch_bare_write_p99_ms"] = quantile(
		wrote, .5,
	), quantile(wrote, .99)
	for _, way := range ways {
		times := b.scales.times(newsNamespace + "/" + way.name)
		b.result["submit_to_patch_"+way.name+"_p50_ms"], b.result["submit_to_patch_"+way.name+"_p99_ms"] = quantile(
			times, .5,
		), quantile(times, .99)
	}
	b.progress(t, "submit to patch")
}

func newsName(way string, i int) string { return fmt.Sprintf("%s-%03d", way, i) }

func submit(t *testing.T, addr, function string) {
	t.Helper()
	nc, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Error(err)
		return
	}
	defer nc.Close()
	conn := proto.NewConn(nc, proto.Limits{})
	if _, err := conn.Write(proto.AppendSubmit(nil, proto.TypeSubmitJobBG, function, "", "x")); err != nil {
		t.Error(err)
		return
	}
	if p, err := conn.Next(); err != nil || p.Type != proto.TypeJobCreated {
		t.Errorf("submit to %s: %v %v", addr, p.Type, err)
	}
}
