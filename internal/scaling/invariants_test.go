package scaling

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// source makes numbers from bytes, so that a fuzzer can steer a whole run; after the last byte all
// numbers are 0.
type source struct{ data []byte }

func (s *source) byte() byte {
	if len(s.data) == 0 {
		return 0
	}
	b := s.data[0]
	s.data = s.data[1:]
	return b
}

func (s *source) below(n int) int { return int(s.byte()) % n }

func (s *source) bool() bool { return s.byte()&1 == 1 }

// int is mostly small, sometimes extreme.
func (s *source) int() int64 {
	switch b := s.byte(); {
	case b < 200:
		return int64(b) % 20
	case b < 230:
		return int64(s.byte()) * 100
	case b < 250:
		return -int64(s.byte())
	case b == 255:
		return math.MinInt64
	default:
		return math.MaxInt64
	}
}

func (s *source) float() float64 {
	switch b := s.byte(); {
	case b < 200:
		return float64(b) / 4
	case b < 240:
		return float64(s.byte()) * 1000
	case b < 244:
		return math.NaN()
	case b < 248:
		return math.Inf(1)
	case b < 250:
		return math.Inf(-1)
	default:
		var x [8]byte
		for i := range x {
			x[i] = s.byte()
		}
		return math.Float64frombits(binary.LittleEndian.Uint64(x[:]))
	}
}

func (s *source) duration() time.Duration {
	switch b := s.byte(); {
	case b < 220:
		return time.Duration(b) * time.Second
	case b < 240:
		return time.Duration(s.byte()) * time.Minute
	case b < 250:
		return -time.Duration(b) * time.Second
	default:
		return math.MaxInt64
	}
}

func (s *source) rules() *ScalingRules {
	if s.bool() {
		return nil
	}
	r := &ScalingRules{
		Stabilization: s.duration(), Select: []SelectPolicy{"", SelectMax, SelectMin, SelectDisabled}[s.below(4)],
		Tolerance: s.float(),
	}
	for range s.below(3) {
		r.Policies = append(
			r.Policies,
			ScalingPolicy{
				Type: []PolicyType{PolicyPods, PolicyPercent}[s.below(2)], Value: int32(s.int()), Period: s.duration(),
			},
		)
	}
	return r
}

func (s *source) policy() Policy {
	p := Policy{
		MinReplicas: int32(s.int()), MaxReplicas: int32(s.int()), Concurrency: int32(s.int()), TargetWait: s.duration(),
		JobsPerReplica: int32(s.int()),
		JobTimeHint:    s.duration(), Tick: s.duration(), Idle: s.duration(),
		Mode:           []Mode{"", ModeAuto, ModeAuto, ModeManual, ModeDryRun, ModePaused}[s.below(6)],
		ManualReplicas: int32(s.int()), ScaleDown: []ScaleDown{"", ScaleDownGraceful}[s.below(2)], Drain: s.duration(),
	}
	if s.bool() {
		p.Behavior = &Behavior{ScaleUp: s.rules(), ScaleDown: s.rules()}
	}
	if s.bool() {
		p.Fallback = &Fallback{
			After: s.duration(), Policy: []FallbackPolicy{"", FallbackStatic, FallbackAtLeast}[s.below(3)],
			Replicas: int32(s.int()),
		}
	}
	return p
}

func (s *source) sample(now time.Time) Sample {
	in := Sample{
		Replicas: int32(s.int()), Rollout: s.below(16) == 1, Partial: s.below(6) == 1,
		PossibleRestart: s.below(12) == 1,
		Answering:       int32(s.below(4)), Silent: int32(s.below(3)),
	}
	if s.below(10) == 1 {
		in.NoAnswer = s.duration()
	}
	for i := range s.below(4) {
		in.Functions = append(in.Functions, FunctionSample{
			Name: fmt.Sprint("f", i), Total: s.int(), Running: s.int(), SilentQueued: s.int(), LongestQueue: s.int(),
			Busy: s.int(), Draining: s.int(),
			Ended: s.int(), EndedSeconds: s.float(), Failed: s.int(), Requeued: s.int(), BusySeconds: s.float(),
			NotRunnable: s.below(8) == 1,
		})
	}
	for i := range s.below(24) {
		p := PodSample{
			Name: fmt.Sprint("p", i), Created: now.Add(-s.duration()), Ready: s.bool(), Terminating: s.below(8) == 1,
			Broken: s.below(8) == 1, Telemetry: s.bool(),
			Busy: int32(s.int()), Capacity: int32(s.below(3)),
		}
		if s.bool() {
			p.Registered = now.Add(-s.duration())
		}
		in.Pods = append(in.Pods, p)
	}
	return in
}

// run decides on a few samples and checks after each what must always be true.
func run(t *testing.T, s *source) {
	t.Helper()
	p := s.policy()
	now := start
	state := NewState(Learnt{Boot: s.duration(), JobTimes: []JobTime{{"f0", s.duration()}}}, now)
	latest := now      // a clock may be set back; the law's time stands still then
	var held time.Time // until when nothing may be scaled down at least
	for range 12 {
		now = now.Add(s.duration() % (10 * time.Minute))
		if now.After(latest) {
			latest = now
		}
		in := s.sample(now)
		before := state.Clone()
		var d Decision
		d, state = Decide(p, state, in, now)
		check(t, p, in, d, &state)
		if in.PossibleRestart || (held.IsZero() && in.NoAnswer <= 0) {
			held = latest.Add(30 * time.Second)
		}
		if latest.Before(held) && d.Replicas < max(0, in.Replicas) && !d.Forced {
			t.Fatalf(
				"shrinks from %d to %d within 30 s of a start or a lost connection\npolicy %+v\nsample %+v\ndecision %+v",
				in.Replicas, d.Replicas, p, in, d,
			)
		}

		again, other := Decide(p, before.Clone(), in, now)
		if diff := cmp.Diff(d, again); diff != "" {
			t.Fatalf("the same arguments decide otherwise (-first +again):\n%s", diff)
		}
		if !reflect.DeepEqual(state.Learnt(), other.Learnt()) {
			t.Fatal("the same arguments teach otherwise")
		}
		if len(in.Functions) > 0 {
			more := in
			more.Functions = append([]FunctionSample(nil), in.Functions...)
			if f := &more.Functions[0]; f.Total >= 0 && f.Total < math.MaxInt64/2 && f.Running >= 0 &&
				f.Running < math.MaxInt64/2 {
				f.Total = max(f.Total, f.Running) + 50
				if high, _ := Decide(p, before, more, now); high.Replicas < d.Replicas && !d.Forced &&
					more.Functions[0].Total > in.Functions[0].Total {
					t.Fatalf(
						"more jobs, fewer replicas: %d < %d (%s, %s)\npolicy %+v\nterms %+v\nmore  %+v", high.Replicas,
						d.Replicas, high.Reason, d.Reason, p, d.Terms, high.Terms,
					)
				}
			}
		}
	}
}

func check(t *testing.T, p Policy, in Sample, d Decision, s *State) {
	t.Helper()
	least := max(0, p.MinReplicas)
	mostAllowed := max(p.MaxReplicas, least)
	present := max(0, in.Replicas)
	if p.Mode == ModePaused {
		if d.Replicas != present || d.Apply {
			t.Fatalf("paused, but %d -> %d, apply %v", present, d.Replicas, d.Apply)
		}
	} else if d.Replicas < least || d.Replicas > mostAllowed {
		t.Fatalf("%d replicas are outside of %d to %d", d.Replicas, least, mostAllowed)
	}
	if d.Replicas < present && !d.Forced && (in.Partial || in.NoAnswer > 0 || in.Rollout || d.Held != "") {
		t.Fatalf(
			"shrinks from %d to %d while partial %v, no answer %v, rollout %v, held %q", present, d.Replicas,
			in.Partial, in.NoAnswer, in.Rollout, d.Held,
		)
	}
	if d.Message == "" || (d.Message != messages[d.Reason] && d.Reason != ReasonSteady) {
		t.Fatalf("reason %q has the message %q", d.Reason, d.Message)
	}
	terms := reflect.ValueOf(d.Terms)
	for i := range terms.NumField() {
		if x := terms.Field(i).Float(); math.IsNaN(x) || math.IsInf(x, 0) || x < 0 {
			t.Fatalf("%s is %v", terms.Type().Field(i).Name, x)
		}
	}
	if d.OldestWait < 0 || d.JobTime < 0 {
		t.Fatalf("oldest wait %v, job time %v", d.OldestWait, d.JobTime)
	}
	if size := s.Size(); size > 16<<10 {
		t.Fatalf("the state takes %d bytes", size)
	}
	if _, err := json.Marshal(s); err != nil {
		t.Fatalf("the state can't be recorded: %v", err)
	}
}

func TestInvariants(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	for range 700 {
		data := make([]byte, 4096)
		for i := range data {
			data[i] = byte(rng.Uint32())
			if rng.IntN(3) > 0 {
				data[i] %= 200 // mostly valid
			}
		}
		run(t, &source{data})
	}
}

func FuzzDecide(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0, 10, 1, 30, 0, 0, 5, 30, 1})
	f.Fuzz(func(t *testing.T, data []byte) { run(t, &source{data}) })
}
