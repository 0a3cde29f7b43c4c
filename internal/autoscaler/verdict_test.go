package autoscaler

import (
	"fmt"
	"testing"
	"time"

	"github.com/gearman-operator/gearman-operator/internal/backlog"
)

// TestVerdictIsConfirmed: where workers take jobs, "not runnable" counts only once a later answer of the job server still shows the backlog.
func TestVerdictIsConfirmed(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	tests := map[string]struct {
		verdict verdict
		workers bool
		seen    time.Time
		want    bool
	}{
		"runnable":                        {verdict{at: now, since: now}, true, now.Add(time.Second), false},
		"no workers: at once":             {verdict{notRunnable: true, at: now, since: now}, false, now.Add(-time.Second), true},
		"workers: not by the old answer":  {verdict{notRunnable: true, at: now, since: now}, true, now.Add(-time.Second), false},
		"workers: by a later answer":      {verdict{notRunnable: true, at: now, since: now}, true, now.Add(time.Second), true},
		"workers: the like verdict again": {verdict{notRunnable: true, at: now, since: now.Add(-5 * time.Second)}, true, now.Add(-time.Second), true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := &Pool{verdicts: map[string]verdict{"f": tt.verdict}}
			if got := p.notRunnable("f", tt.workers, tt.seen); got != tt.want {
				t.Errorf("got %t, want %t", got, tt.want)
			}
		})
	}
}

// TestVerdictOfAnother: an answer for a pool that was forgotten meanwhile counts for no pool.
func TestVerdictOfAnother(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	p := &Pool{}
	p.answerVerdict("f", backlog.NotRunnable, now)
	if p.verdicts != nil {
		t.Errorf("kept: %v", p.verdicts)
	}
	refuse := func(string) bool { return false }
	p.askVerdict("f", now, refuse)
	if p.verdictPending(now) {
		t.Error("a probe that found no place in line is waited for")
	}
	accept := func(string) bool { return true }
	p.askVerdict("f", now, accept)
	p.dropVerdict("f") // under way: it stays
	p.answerVerdict("f", backlog.NotRunnable, now)
	p.askVerdict("f", now.Add(verdictFor), accept)
	p.answerVerdict("f", backlog.NotRunnable, now.Add(verdictFor))
	if v := p.verdicts["f"]; v.since != now || p.verdictPending(now) {
		t.Errorf("%+v; want the same run of verdicts", v)
	}
	p.askVerdict("f", now.Add(verdictFor), func(string) bool { t.Error("a fresh verdict is asked for again"); return true })
	p.dropVerdict("f")
	if len(p.verdicts) != 0 {
		t.Errorf("kept: %v", p.verdicts)
	}
}

// TestVerdictIsNotWaitedForLong: a pool at zero waits for a first verdict for a moment, and never for one after that.
func TestVerdictIsNotWaitedForLong(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	p := &Pool{}
	p.askVerdict("f", now, func(string) bool { return true })
	if !p.verdictPending(now.Add(verdictWait-time.Millisecond)) || p.verdictPending(now.Add(verdictWait)) {
		t.Error("a first verdict is to be waited for, and not for longer than verdictWait")
	}
	p.answerVerdict("f", backlog.Unknown, now.Add(time.Second))
	p.askVerdict("f", now.Add(time.Second+verdictFor), func(string) bool { return true })
	if p.verdictPending(now.Add(time.Second + verdictFor)) {
		t.Error("a second verdict is waited for")
	}
}

// TestProbesOfPool: a pool with many functions has some probes under way, not one for each.
func TestProbesOfPool(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	p, asked := &Pool{}, 0
	for i := range 64 {
		p.askVerdict(fmt.Sprint(i), now, func(string) bool { asked++; return true })
	}
	if asked != probesOfPool {
		t.Errorf("%d probes, want %d", asked, probesOfPool)
	}
	p.answerVerdict("0", backlog.Runnable, now)
	p.askVerdict("63", now, func(string) bool { asked++; return true })
	if asked != probesOfPool+1 {
		t.Errorf("%d probes after one has come back", asked)
	}
}

// TestPositiveVerdict: it counts until the next one has come, and is none where the probe brought nothing.
func TestPositiveVerdict(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	for answer, want := range map[backlog.Verdict]bool{backlog.Runnable: true, backlog.NotRunnable: false, backlog.Unknown: false} {
		p := &Pool{verdicts: map[string]verdict{"f": {askedAt: now}}}
		p.answerVerdict("f", answer, now)
		if got := p.runnable("f", now.Add(verdictFor)); got != want {
			t.Errorf("%v: %t, want %t", answer, got, want)
		}
		if p.runnable("f", now.Add(2*verdictFor)) {
			t.Errorf("%v: it counts for too long", answer)
		}
	}
}
