package worker

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/gearmantest"
)

// hosts resolves names to addresses that a test sets; the lookup of a name without an entry hangs.
type hosts struct {
	mu sync.Mutex
	of map[string][]string
}

func (h *hosts) LookupNetIP(ctx context.Context, _, host string) ([]netip.Addr, error) {
	h.mu.Lock()
	ips, ok := h.of[host]
	h.mu.Unlock()
	if !ok {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if len(ips) == 0 {
		return nil, errors.New("no such host")
	}
	var out []netip.Addr
	for _, ip := range ips {
		out = append(out, netip.MustParseAddr(ip))
	}
	return out, nil
}

// TestOtherFamily checks that the other IP family is used if the first one refuses, and that the
// job server is connected only once. A name with addresses of both families stands for one job
// server.
func TestOtherFamily(t *testing.T) {
	t.Parallel()
	for name, at := range map[string]string{"four": "192.0.2.1:4730", "six": "[2001:db8::1]:4730"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := gearmantest.NewServer(gearmantest.InMemory(at))
				defer s.Close()
				s.Submit("f", "", nil)
				ran := make(chan string, 10)
				o := Options{
					Servers:  []string{"localhost"},
					Resolver: &hosts{of: map[string][]string{"localhost": {"2001:db8::1", "192.0.2.1"}}},
				}
				inBubble(t, o, []*gearmantest.Server{s}, map[string]Handler{"f": func(
					_ context.Context, j *Job,
				) ([]byte, error) {
					ran <- j.Server()
					return nil, nil
				}}, func(w *Worker) {
					begin := time.Now()
					if got := <-ran; got != at || time.Since(begin) > 5*time.Second {
						t.Errorf("the job ran from %s after %v", got, time.Since(begin))
					}
					time.Sleep(5 * time.Minute)
					synctest.Wait()
					if st := w.Status(); len(st.Servers) != 1 || st.Connected != 1 {
						t.Errorf("status %+v, want the one server", st)
					}
					if n := s.Function("f").Workers; n != 1 {
						t.Errorf("%d registrations, want one", n)
					}
				})
			})
		})
	}
}

// TestEachNameForItself checks that a name that hangs or doesn't resolve doesn't delay other
// lookups.
func TestEachNameForItself(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := gearmantest.NewServer(gearmantest.InMemory("192.0.2.1:4730"))
		b := gearmantest.NewServer(gearmantest.InMemory("192.0.2.2:4730"))
		defer a.Close()
		defer b.Close()
		names := &hosts{of: map[string][]string{"good": {"192.0.2.1"}, "unknown": nil}}
		o := Options{
			Servers: []string{"hangs", "unknown", "good"}, Resolver: names, ResolveInterval: 3 * time.Second,
			ConnectTimeout: time.Minute,
		}
		ran := make(chan string, 10)
		inBubble(t, o, []*gearmantest.Server{
			a, b,
		}, map[string]Handler{"f": func(_ context.Context, j *Job) ([]byte, error) {
			ran <- j.Server()
			return nil, nil
		}}, func(*Worker) {
			begin := time.Now()
			a.Submit("f", "", nil)
			<-ran
			names.mu.Lock()
			names.of["good"] = []string{"192.0.2.2"}
			names.mu.Unlock()
			b.Submit("f", "", nil)
			if got := <-ran; got != b.Addr() || time.Since(begin) > 10*time.Second {
				t.Errorf(
					"the second job ran from %s after %v, want the good name's new address after 3 s", got,
					time.Since(begin),
				)
			}
		})
	})
}
