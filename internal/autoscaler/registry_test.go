package autoscaler

import (
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	"golang.org/x/time/rate"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/internal/backlog"
	"github.com/gearman-operator/gearman-operator/internal/scaling"
)

// TestOneRecord: a pool's record has no lock of its own and no map keyed by pools, so that one map
// under one lock holds everything.
func TestOneRecord(t *testing.T) {
	t.Parallel()
	seen := map[reflect.Type]bool{}
	var walk func(path string, typ reflect.Type)
	walk = func(path string, typ reflect.Type) {
		if seen[typ] {
			return
		}
		seen[typ] = true
		switch typ {
		case reflect.TypeFor[sync.Mutex](), reflect.TypeFor[sync.RWMutex](), reflect.TypeFor[sync.Map]():
			t.Errorf("%s is a %v: the registry's lock guards the record", path, typ)
		case reflect.TypeFor[time.Time]():
			return // the location belongs to the standard library
		}
		switch typ.Kind() {
		case reflect.Map:
			if key := typ.Key(); key == reflect.TypeFor[types.NamespacedName]() ||
				key == reflect.TypeFor[backlog.PoolKey]() {
				t.Errorf("%s is a map keyed by a pool: the registry has one", path)
			}
			walk(path+"[key]", typ.Key())
			walk(path+"[]", typ.Elem())
		case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Chan:
			walk(path+"[]", typ.Elem())
		case reflect.Struct:
			for field := range typ.Fields() {
				walk(path+"."+field.Name, field.Type)
			}
		}
	}
	walk("Pool", reflect.TypeFor[Pool]())
	if len(seen) < 20 {
		t.Errorf("only %d types were found in a record", len(seen))
	}
}

// TestForget: a deleted pool leaves no state.
func TestForget(t *testing.T) {
	t.Parallel()
	servers := newPlayedServers()
	a := New(servers, Options{})
	key := types.NamespacedName{Namespace: "ns", Name: "pool"}
	fill := func() {
		a.Observe(key, testSpec(t), Observed{}, noLearnt)
		a.Share(key, []string{"s:1"}, []string{"f"})
		a.Do(key, func(p *Pool) {
			p.WroteTemplate(Applied{UID: "1"}, true, false, time.Now())
			p.ObserveReplicas(&p.observed.Workload, v1alpha1.ModeAuto, time.Now())
			p.SetTargetPods(TargetPods{Version: "1"})
			p.verdicts.Probe(
				&scaling.Sample{Functions: []scaling.FunctionSample{{Name: "f", Total: 1}}}, true, time.Now(),
				func(string) bool { return true },
			)
			p.statusDueAt = time.Now()
		})
	}
	fill()
	for kind, n := range a.Counts() {
		if n != 1 && kind != "wholeSamples" {
			t.Errorf("%d %s are kept of one pool", n, kind)
		}
	}
	a.Suspend(key)
	for kind, n := range a.Counts() {
		if n != 0 && kind != "statusWrites" {
			t.Errorf("%d %s are kept of a pool that can't be scaled", n, kind)
		}
	}
	fill()
	a.Forget(key)
	for kind, n := range a.Counts() {
		if n != 0 {
			t.Errorf("%d %s are kept of a pool that is gone", n, kind)
		}
	}
	if len(a.pools) != 0 || len(servers.removed) != 2 {
		t.Errorf("%d records are left, and the poller was told %d times", len(a.pools), len(servers.removed))
	}
}

// TestStatusWait: beyond the burst, writes are allowed at the rate, in the order of the first
// calls, and a waiting pool keeps its time.
func TestStatusWait(t *testing.T) {
	t.Parallel()
	r := newRegistry()
	r.statusLimiter = rate.NewLimiter(10, 2)
	now := time.Unix(1_700_000_000, 0)
	key := func(i int) types.NamespacedName { return types.NamespacedName{Namespace: "ns", Name: fmt.Sprint(i)} }
	for i, want := range []time.Duration{0, 0, 100 * time.Millisecond, 200 * time.Millisecond} {
		if got := r.StatusWait(key(i), now); got != want {
			t.Errorf("pool %d waits %v, want %v", i, got, want)
		}
	}
	if got := r.Counts()["statusWrites"]; got != 2 {
		t.Errorf("%d pools wait, want 2", got)
	}
	now = now.Add(60 * time.Millisecond)
	if got := r.StatusWait(key(2), now); got != 40*time.Millisecond {
		t.Errorf("asked again, a pool waits %v, want the rest of its turn, 40ms", got)
	}
	now = now.Add(40 * time.Millisecond)
	if got := r.StatusWait(key(2), now); got != 0 {
		t.Errorf("at its turn a pool waits %v", got)
	}
	if got := r.StatusWait(key(2), now); got != 200*time.Millisecond {
		t.Errorf("its next write waits %v, want to be the last in the line, 200ms", got)
	}
	r.Do(key(2), (*Pool).CancelStatusWrite)
	r.remove(key(3))
	if got := r.Counts()["statusWrites"]; got != 0 {
		t.Errorf("%d pools wait after they were forgotten", got)
	}
}
