package autoscaler

import (
	"testing"
	"time"
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
	p.answerVerdict("f", true, now)
	if p.verdicts != nil {
		t.Errorf("kept: %v", p.verdicts)
	}
	refuse := func(string) bool { return false }
	p.askVerdict("f", now, refuse)
	if p.verdictPending() {
		t.Error("a probe that found no place in line is waited for")
	}
	accept := func(string) bool { return true }
	p.askVerdict("f", now, accept)
	p.dropVerdict("f") // under way: it stays
	p.answerVerdict("f", true, now)
	p.askVerdict("f", now.Add(verdictFor), accept)
	p.answerVerdict("f", true, now.Add(verdictFor))
	if v := p.verdicts["f"]; v.since != now || p.verdictPending() {
		t.Errorf("%+v; want the same run of verdicts", v)
	}
	p.askVerdict("f", now.Add(verdictFor), func(string) bool { t.Error("a fresh verdict is asked for again"); return true })
	p.dropVerdict("f")
	if len(p.verdicts) != 0 {
		t.Errorf("kept: %v", p.verdicts)
	}
}
