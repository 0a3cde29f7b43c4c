package sampling

import (
	"fmt"
	"testing"
	"time"

	"github.com/gearman-operator/gearman-operator/internal/backlog"
)

// TestVerdictIsConfirmed: if there are workers, "not runnable" counts only once a later answer of
// the job server still shows the backlog.
func TestVerdictIsConfirmed(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	tests := map[string]struct {
		verdict verdict
		workers bool
		seen    time.Time
		want    bool
	}{
		"runnable": {verdict{at: now, since: now}, true, now.Add(time.Second), false},
		"no workers: at once": {
			verdict{notRunnable: true, at: now, since: now}, false, now.Add(-time.Second), true,
		},
		"workers: not by the old answer": {
			verdict{notRunnable: true, at: now, since: now}, true, now.Add(-time.Second), false,
		},
		"workers: by a later answer": {
			verdict{notRunnable: true, at: now, since: now}, true, now.Add(time.Second), true,
		},
		"workers: the like verdict again": {
			verdict{notRunnable: true, at: now, since: now.Add(-5 * time.Second)}, true, now.Add(-time.Second), true,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := &Verdicts{of: map[string]verdict{"f": tt.verdict}}
			if got := p.notRunnable("f", tt.workers, tt.seen); got != tt.want {
				t.Errorf("got %t, want %t", got, tt.want)
			}
		})
	}
}

// TestVerdictOfAnother: a verdict for a pool that was deleted meanwhile is dropped.
func TestVerdictOfAnother(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	p := &Verdicts{}
	p.Answer("f", backlog.NotRunnable, now)
	if p.of != nil {
		t.Errorf("kept: %v", p.of)
	}
	refuse := func(string) bool { return false }
	p.request("f", now, refuse)
	if p.Pending(now) {
		t.Error("a probe that found no place in line is waited for")
	}
	accept := func(string) bool { return true }
	p.request("f", now, accept)
	p.drop("f") // under way: it stays
	p.Answer("f", backlog.NotRunnable, now)
	p.request("f", now.Add(verdictFor), accept)
	p.Answer("f", backlog.NotRunnable, now.Add(verdictFor))
	if v := p.of["f"]; v.since != now || p.Pending(now) {
		t.Errorf("%+v; want the same run of verdicts", v)
	}
	p.request("f", now.Add(verdictFor), func(string) bool { t.Error("a fresh verdict is asked for again"); return true })
	p.drop("f")
	if len(p.of) != 0 {
		t.Errorf("kept: %v", p.of)
	}
}

// TestVerdictIsNotWaitedForLong: a pool at zero waits briefly for a first verdict, and never for
// later ones.
func TestVerdictIsNotWaitedForLong(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	p := &Verdicts{}
	p.request("f", now, func(string) bool { return true })
	if !p.Pending(now.Add(VerdictWait-time.Millisecond)) || p.Pending(now.Add(VerdictWait)) {
		t.Error("a first verdict is to be waited for, and not for longer than VerdictWait")
	}
	p.Answer("f", backlog.Unknown, now.Add(time.Second))
	p.request("f", now.Add(time.Second+verdictFor), func(string) bool { return true })
	if p.Pending(now.Add(time.Second + verdictFor)) {
		t.Error("a second verdict is waited for")
	}
}

// TestProbesOfPool: a pool with many functions has some probes under way, not one for each.
func TestProbesOfPool(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	p, asked := &Verdicts{}, 0
	for i := range 64 {
		p.request(fmt.Sprint(i), now, func(string) bool { asked++; return true })
	}
	if asked != probesOfPool {
		t.Errorf("%d probes, want %d", asked, probesOfPool)
	}
	p.Answer("0", backlog.Runnable, now)
	p.request("63", now, func(string) bool { asked++; return true })
	if asked != probesOfPool+1 {
		t.Errorf("%d probes after one has come back", asked)
	}
}

// TestPositiveVerdict: it counts until the next one arrives; an unknown verdict is not positive.
func TestPositiveVerdict(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	for answer, want := range map[backlog.Verdict]bool{
		backlog.Runnable: true, backlog.NotRunnable: false, backlog.Unknown: false,
	} {
		p := &Verdicts{of: map[string]verdict{"f": {requestedAt: now}}}
		p.Answer("f", answer, now)
		if got := p.runnable("f", now.Add(verdictFor)); got != want {
			t.Errorf("%v: %t, want %t", answer, got, want)
		}
		if p.runnable("f", now.Add(2*verdictFor)) {
			t.Errorf("%v: it counts for too long", answer)
		}
	}
}
