package outcome

import (
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"
)

var servers = []netip.AddrPort{
	netip.MustParseAddrPort("192.0.2.1:4730"), netip.MustParseAddrPort("192.0.2.2:4730"),
	netip.MustParseAddrPort("192.0.2.3:4730"),
}

// poll is what one job server and telemetry report, a second after the previous poll.
type poll struct {
	total, running int64
	ended          int64 // since the previous poll
	stuck          int64
	busy           float64 // by telemetry; negative: as many as are running
	lost, silent   bool
	times          int // how many identical polls in a row; 0: one
}

// follow plays polls of one job server and returns the counts. The target wait is 10 s, and a job
// takes 2 s.
func follow(oldest time.Duration, polls []poll) (w Waits) {
	now, asOf, ended := start, start, int64(0)
	for _, p := range polls {
		for range max(1, p.times) {
			now = now.Add(time.Second)
			if !p.silent {
				asOf = now
			}
			ended += p.ended
			lostAt := time.Time{}
			if p.lost {
				lostAt = now.Add(-time.Millisecond)
			}
			busy := p.busy
			if busy < 0 {
				busy = float64(p.running)
			}
			w.Observe(now, 10*time.Second, oldest, []FunctionQueues{{
				Name: "f", Ended: ended, Busy: busy, JobSeconds: 2, Stuck: p.stuck,
				Queues: []Queue{{Server: servers[0], AsOf: asOf, Total: p.total, Running: p.running, LostAt: lostAt}},
			}})
		}
	}
	return w
}

func TestWaits(t *testing.T) {
	t.Parallel()
	idle := poll{times: 100}
	tests := map[string]struct {
		oldest       time.Duration
		polls        []poll
		inTime, late float64
		tolerance    float64 // for jobs that are held back or spread
	}{
		"nothing": {polls: []poll{idle}},
		"jobs wait too long": {
			polls: []poll{
				idle,
				{total: 8, times: 20},
				{total: 8, running: 8, busy: -1},
				{total: 8, running: 8, busy: -1, times: 2},
				{ended: 8},
				idle,
			},
			inTime: 0, late: 8,
		},
		"jobs start in time": {
			polls:  []poll{idle, {total: 8, times: 5}, {total: 8, running: 8, busy: -1}, {ended: 8}, idle},
			inTime: 8,
		},
		"the oldest first": { // 4 jobs, 9 s later 4 more; then one slot ends a job in 2 s
			polls: []poll{
				idle,
				{total: 4, times: 9},
				{total: 8},
				{total: 8, running: 4, busy: -1, times: 2},
				{total: 4, running: 4, ended: 4, busy: -1},
				{ended: 4},
				idle,
			},
			// The first four waited for 9 to 11 s: half of them for more than 10.
			inTime: 4 + 2, late: 2, tolerance: 1e-6,
		},
		"short jobs that no poll sees": {
			polls:  []poll{idle, {ended: 5, times: 20}, idle},
			inTime: 100, tolerance: 4,
		},
		"telemetry comes three polls late": {
			polls: []poll{
				idle,
				{total: 9, times: 20},
				{total: 9, running: 3, busy: -1},
				{total: 6, running: 3},
				{total: 3, running: 3},
				{},
				{ended: 9},
				idle,
			},
			late: 9,
		},
		"a requeued job counts once": {
			polls: []poll{
				idle,
				{total: 2, times: 5},
				{total: 2, running: 2, busy: -1},
				{total: 2, running: 1, busy: -1, times: 20},
				{total: 2, running: 2, busy: -1},
				{ended: 2},
				idle,
			},
			inTime: 2,
		},
		"the job server lost its queue": {
			polls: []poll{idle, {total: 50, times: 20}, {lost: true}, idle},
		},
		"somebody drops a queue without a worker": {
			polls: []poll{idle, {total: 50, times: 20}, {}, idle},
		},
		"other workers' jobs count": {
			polls: []poll{idle, {total: 4, running: 4, times: 200}, idle},
			// 4 slots, 2 s per job: 2 jobs per second.
			inTime: 4 + 2*200, tolerance: 60,
		},
		"jobs whose time has not come do not wait": {
			polls: []poll{
				idle,
				{total: 9, stuck: 9, times: 60},
				{total: 9, stuck: 6},
				{total: 9, running: 3, stuck: 6, busy: -1},
				{total: 6, stuck: 6, ended: 3},
				{total: 6, stuck: 6, times: 100},
			},
			inTime: 3,
		},
		"jobs that waited before the operator came": {
			oldest: 40 * time.Second,
			// The jobs that arrived in the last 40 s all start at once: a quarter of them is
			// younger than 10 s.
			polls:  []poll{{total: 40}, {total: 40, running: 40, busy: -1}, {ended: 40}, idle},
			inTime: 9.5, late: 30.5, tolerance: 0.6,
		},
		"a job that may have waited a little less or more than the target": {
			polls:  []poll{idle, {total: 1, times: 10}, {total: 1, running: 1, busy: -1}, {ended: 1}, idle},
			inTime: 0.5, late: 0.5,
		},
		"other workers' jobs count as many as there are on average": {
			polls: append(append([]poll{idle}, slices.Repeat([]poll{
				{total: 2, running: 2, times: 5}, {total: 6, running: 6, times: 5},
			}, 30)...), idle),
			inTime: 2 * 300, tolerance: 120,
		},
		"a silent job server": {
			polls: []poll{
				idle,
				{total: 8, times: 20},
				{total: 8, running: 0, silent: true, times: 30},
				{total: 8, running: 8, busy: -1},
				{ended: 8},
				idle,
			},
			late: 8,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := follow(tt.oldest, tt.polls)
			got := w.Started()
			if math.Abs(got.InTime-tt.inTime) > tt.tolerance+1e-6 || math.Abs(got.Late-tt.late) > tt.tolerance+1e-6 {
				t.Errorf(
					"in time %.2f, late %.2f; want %.2f and %.2f (give or take %.2f)", got.InTime, got.Late, tt.inTime,
					tt.late, tt.tolerance,
				)
			}
			if got.LateMin > got.Late || got.Late > got.LateMax {
				t.Errorf("late %.2f is outside its bounds %.2f to %.2f", got.Late, got.LateMin, got.LateMax)
			}
		})
	}
}

// TestDelayedJobsMayNotBeLate checks the bounds for delayed jobs. While all slots are busy, it
// can't be seen that delayed jobs are not due yet. They may have become due at any time until they
// start.
func TestDelayedJobsMayNotBeLate(t *testing.T) {
	t.Parallel()
	w := follow(0, []poll{
		{times: 100},
		{total: 9, stuck: 9, times: 60},
		{total: 9, times: 20},
		{total: 9, running: 9, busy: -1},
		{ended: 9},
		{times: 100},
	})
	got := w.Started()
	if want := (Started{InTime: 9 * 10. / 21, Late: 9 * 11. / 21, LateMax: 9}); !got.near(want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// near reports whether all numbers are approximately equal.
func (s Started) near(o Started) bool {
	d := s.Sub(o)
	return max(math.Abs(d.InTime), math.Abs(d.Late), math.Abs(d.LateMin), math.Abs(d.LateMax)) < 1e-6
}

// TestSilentServerIsLikeTheOthers checks that jobs that arrived and started while a job server was
// silent count as late as often as elsewhere, if it was silent for longer than the target.
func TestSilentServerIsLikeTheOthers(t *testing.T) {
	t.Parallel()
	for silence, want := range map[float64]Started{
		9:  {InTime: 8},
		40: {InTime: 2, Late: 6, LateMax: 8},
	} {
		q := newQueue(&report{server: servers[0]}, 0, Started{})
		q.ended = 8 // the job server had reported none of these

		got := q.take(&report{server: servers[0], at: silence}, 10, 0.75, maxCohorts)
		if !got.near(want) {
			t.Errorf("silent for %v s: got %+v, want %+v", silence, got, want)
		}
	}
}

// TestBoundsOfGuessedEnds checks that the bounds are wider the more jobs ended at an unknown job
// server. With one job server there is nothing to guess.
func TestBoundsOfGuessedEnds(t *testing.T) {
	t.Parallel()
	width := func(hosts int) float64 {
		var w Waits
		now, ended := start, int64(0)
		for i := range 200 {
			now = now.Add(time.Second)
			f := FunctionQueues{Name: "f", Busy: float64(4 * hosts), JobSeconds: 2}
			for _, s := range servers[:hosts] {
				q := Queue{Server: s, AsOf: now}
				if i >= 50 && i < 150 { // two jobs per second, which wait for 11 s
					q.Total, q.Running = min(int64(i-49)*2, 26), min(max(0, int64(i-60)*2), 4)
				}
				if i > 62 && i < 150 {
					ended += 2
				}
				f.Queues = append(f.Queues, q)
			}
			f.Ended = ended
			w.Observe(now, 10*time.Second, 0, []FunctionQueues{f})
		}
		got := w.Started()
		return (got.LateMax - got.LateMin) / got.Total()
	}
	if one, three := width(1), width(3); three <= one {
		t.Errorf("the bounds are %.3f apart with one job server, %.3f with three: want more", one, three)
	}
}

func TestShareAbove(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ mid, spread1, spread2, want float64 }{
		"certainly above":          {12, 2, 2, 1},
		"certainly not above":      {8, 2, 2, 0},
		"at the limit":             {10, 2, 2, 0.5},
		"at the limit, known":      {10, 0, 0, 0},
		"above it, known":          {10.1, 0, 0, 1},
		"one error, above":         {10.5, 2, 0, 0.75},
		"one error, below":         {9.5, 0, 2, 0.25},
		"two errors, above":        {11, 2, 2, 0.875},
		"two errors, below":        {9, 2, 2, 0.125},
		"two unlike errors, above": {10.5, 3, 1, 0.5 + 0.5/3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := shareAbove(10, tt.mid, tt.spread1, tt.spread2); math.Abs(got-tt.want) > 1e-9 {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestStarted(t *testing.T) {
	t.Parallel()
	a := Started{InTime: 3, Late: 1, LateMin: 0.5, LateMax: 2}
	if a.LateShare() != 0.25 || a.Total() != 4 || (Started{}).LateShare() != 0 {
		t.Errorf("share %v, total %v; without a job %v", a.LateShare(), a.Total(), Started{}.LateShare())
	}
	if a.Add(a).Sub(a) != a {
		t.Errorf("added and taken off again: %+v, want %+v", a.Add(a).Sub(a), a)
	}
}

// TestWaitsOfAnything feeds random figures: counts must never decrease, and must stay within their
// bounds.
func TestWaitsOfAnything(t *testing.T) {
	t.Parallel()
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 1))
		var w Waits
		now, ended := start, int64(0)
		before := w.Started()
		for range 300 {
			now = now.Add(time.Duration(rng.IntN(9000)-1000) * time.Millisecond) // a clock may be set back
			ended += int64(rng.IntN(20)) - 2
			var in []FunctionQueues
			for _, name := range []string{"f", "g"}[:1+rng.IntN(2)] {
				f := FunctionQueues{
					Name: name, Ended: ended, Busy: float64(rng.IntN(9)), JobSeconds: float64(rng.IntN(4)),
					Stuck: int64(rng.IntN(30)),
				}
				for _, s := range servers[:1+rng.IntN(3)] {
					f.Queues = append(f.Queues, Queue{
						Server: s, AsOf: now.Add(-time.Duration(rng.IntN(5)) * time.Second),
						Total:   int64(rng.IntN(500) * rng.IntN(2)),
						Running: int64(rng.IntN(20) - 1), LostAt: now.Add(-time.Duration(rng.IntN(40)) * time.Second),
					})
				}
				f.Queues = append(f.Queues, Queue{}) // a job server that has not answered yet
				in = append(in, f)
			}
			w.Observe(now, 10*time.Second, time.Minute, in)
			got := w.Started()
			d := got.Sub(before)
			if min(d.InTime, d.Late, d.LateMin, d.LateMax) < 0 {
				t.Fatalf("seed %d: counts went back, from %+v to %+v", seed, before, got)
			}
			within := got.LateMin <= got.Late+1e-6 && got.Late <= got.LateMax+1e-6
			if !within || math.IsNaN(got.InTime) || math.IsInf(got.Total(), 0) {
				t.Fatalf("seed %d: not within bounds: %+v", seed, got)
			}
			before = got
		}
		for _, f := range w.functions {
			for _, q := range f.queues {
				if len(q.cohorts) > maxCohorts {
					t.Fatalf("seed %d: %d cohorts", seed, len(q.cohorts))
				}
			}
		}
	}
}

// TestCohortsOfManyQueues checks that the memory for a pool with many queues is bounded, no matter
// how they change, and that all jobs are still counted.
func TestCohortsOfManyQueues(t *testing.T) {
	t.Parallel()
	const functions, hosts, polls = 8, 256, 70
	var w Waits
	now := start
	observe := func(total, running int64) {
		now = now.Add(time.Second)
		in := make([]FunctionQueues, functions)
		for i := range in {
			in[i] = FunctionQueues{Name: string(rune('a' + i)), Busy: float64(running * hosts), JobSeconds: 2}
			for host := range hosts {
				server := netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(host)}), 4730)
				in[i].Queues = append(in[i].Queues, Queue{Server: server, AsOf: now, Total: total, Running: running})
			}
		}
		w.Observe(now, 10*time.Second, time.Minute, in)
	}
	observe(0, 0)
	for i := range polls {
		observe(int64(i+1), 0)
	}
	kept := 0
	for _, f := range w.functions {
		for _, q := range f.queues {
			kept += len(q.cohorts)
		}
	}
	if kept > poolCohorts || kept < functions*hosts {
		t.Errorf("%d cohorts of %d queues are kept, want %d at most", kept, functions*hosts, poolCohorts)
	}
	observe(polls, polls)
	if got, want := w.Started().Total(), float64(functions*hosts*polls); math.Abs(got-want) > 1e-3 {
		t.Errorf("%v jobs started, want %v", got, want)
	}
}

// TestCohortsOf checks that a queue has all its cohorts in a pool with few queues, and some in a
// pool with very many.
func TestCohortsOf(t *testing.T) {
	t.Parallel()
	for queues, want := range map[int]int{
		0: maxCohorts, 1: maxCohorts, 128: maxCohorts, 129: maxCohorts - 1, 1024: 8, 2048: minCohorts,
		1 << 20: minCohorts,
	} {
		if got := cohortsOf(queues); got != want {
			t.Errorf("of %d queues each has %d cohorts, want %d", queues, got, want)
		}
	}
}

// TestOrderOfQueues checks that neither the order of the job servers nor a job server that is
// listed twice makes a difference.
func TestOrderOfQueues(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	var sorted, shuffled Waits
	now, ended := start, int64(0)
	for range 100 {
		now = now.Add(time.Second)
		ended += int64(rng.IntN(4))
		f := FunctionQueues{Name: "f", Ended: ended, Busy: 2, JobSeconds: 2}
		for _, s := range servers[:1+rng.IntN(len(servers))] {
			f.Queues = append(f.Queues, Queue{Server: s, AsOf: now, Total: int64(rng.IntN(50)), Running: 1})
		}
		sorted.Observe(now, 10*time.Second, time.Minute, []FunctionQueues{f})
		mixed := f
		mixed.Queues = slices.Clone(f.Queues)
		rng.Shuffle(
			len(mixed.Queues), func(i, j int) { mixed.Queues[i], mixed.Queues[j] = mixed.Queues[j], mixed.Queues[i] },
		)
		again := mixed.Queues[0]
		again.Total += 7
		mixed.Queues = append(mixed.Queues, again)
		shuffled.Observe(now, 10*time.Second, time.Minute, []FunctionQueues{mixed})
	}
	if a, b := sorted.Started(), shuffled.Started(); a != b || a.Total() == 0 {
		t.Errorf("sorted %+v, in any order %+v", a, b)
	}
}

// BenchmarkManyQueues is the largest pool: 64 functions at 256 job servers.
func BenchmarkManyQueues(b *testing.B) {
	var w Waits
	now := start
	in := make([]FunctionQueues, 64)
	for b.Loop() {
		now = now.Add(time.Second)
		for i := range in {
			in[i] = FunctionQueues{Name: string(rune('A' + i)), JobSeconds: 2, Queues: in[i].Queues[:0]}
			for host := range 256 {
				server := netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(host)}), 4730)
				in[i].Queues = append(
					in[i].Queues, Queue{Server: server, AsOf: now, Total: now.Unix() % 100, Running: now.Unix() % 7},
				)
			}
		}
		w.Observe(now, 10*time.Second, time.Minute, in)
	}
}
