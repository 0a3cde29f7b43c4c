package world

import (
	"time"

	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
)

const (
	// figuresEvery is how soon a status may be written again if only figures have changed: once a
	// minute, less the time that a write may take.
	figuresEvery = 50 * time.Second
	// quietWindow is the period over which writes are counted.
	quietWindow = 5 * time.Minute
	// statusSpare is how many status writes a window may have beyond those for each poll and each
	// change of the pods.
	statusSpare = 30
	// markSpare is how many patches a pool may have beyond those that are explained.
	markSpare = 10
)

// statusWrite is a change of a pool's status on the API server.
type statusWrite struct {
	at      time.Time
	figures bool // only figures changed
}

// markWrite is a change of a pod's deletion cost on the API server.
type markWrite struct {
	at   time.Time
	pod  string
	mark bool // false: a mark was removed
}

func (m *monitor) statusWritten(pool int, before, after *v1alpha1.GearmanWorkerPoolStatus) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.statuses[pool] = append(m.statuses[pool], statusWrite{time.Now(), onlyFigures(before, after)})
}

// onlyFigures reports whether two statuses differ only in figures that change all the time.
func onlyFigures(a, b *v1alpha1.GearmanWorkerPoolStatus) bool {
	a, b = a.DeepCopy(), b.DeepCopy()
	for _, s := range []*v1alpha1.GearmanWorkerPoolStatus{a, b} {
		s.Queue, s.LastHour, s.Decision.Terms, s.Measured = v1alpha1.QueueStatus{}, nil, nil, nil
	}
	return equality.Semantic.DeepEqual(a, b)
}

func (m *monitor) marked(pool int, pod string, mark bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.marks[pool] = append(m.marks[pool], markWrite{time.Now(), pod, mark})
}

// quiet checks three things. No status is written for figures alone within a minute of the last
// write. There are no more status writes than polls and changes of the pods. A marked pod is
// removed, or was given a job before its mark was removed. docs/adr/0024 explains why the bound of
// the design does not hold.
func (j *judge) quiet() {
	for pool := range j.w.plan.Pools {
		j.quietStatus(pool)
		j.quietMarks(pool)
	}
}

func (j *judge) quietStatus(pool int) {
	writes := j.m.statuses[pool]
	first, reported := 0, false
	for i, w := range writes {
		for w.at.Sub(writes[first].at) > quietWindow {
			first++
		}
		j.checked()
		n := i - first + 1
		if n <= statusSpare || reported {
			// These are few enough whatever the pods did, or are reported already.
		} else if most := int(quietWindow/j.poll(pool)) + j.podChanges(
			pool, writes[first].at, w.at,
		) + statusSpare; n > most {
			reported = true
			j.violated(w.at, "pool %d has %d status writes in %s, want %d at most", pool, n, quietWindow, most)
		}
		if i == 0 || !w.figures {
			continue
		}
		// A new operator doesn't know of the last write, and a write whose answer was lost is
		// repeated.
		if last := writes[i-1].at; w.at.Sub(last) < figuresEvery && j.m.delays(pool, ofAPI|ofLeader, last, w.at) == 0 {
			j.violated(
				w.at, "the status of pool %d is written for figures alone %s after the last write", pool,
				w.at.Sub(last).Round(time.Millisecond),
			)
		}
	}
}

// podChanges counts the seconds in which the replicas or the pods of a pool changed.
func (j *judge) podChanges(pool int, from, to time.Time) (n int) {
	samples := j.between(pool, from, to.Add(time.Second))
	for i := 1; i < len(samples); i++ {
		a, b := &samples[i-1], &samples[i]
		if a.replicas != b.replicas || a.live != b.live || a.ready != b.ready || a.blocked != b.blocked {
			n++
		}
	}
	return n
}

func (j *judge) quietMarks(pool int) {
	marked := map[string]time.Time{}
	explained := 0
	for _, w := range j.m.marks[pool] {
		if w.mark {
			marked[w.pod] = w.at
			continue
		}
		if at, ok := marked[w.pod]; ok && j.ranJob(pool, w.pod, at, w.at) {
			explained += 2 // the mark and its removal
		}
		delete(marked, w.pod)
	}
	j.checked()
	all, removed := len(j.m.marks[pool]), j.m.removed[pool]
	if n := all - explained; n > 2*removed+markSpare {
		j.violated(
			time.Now(),
			"%d patches of pods of pool %d for %d pods that were removed; %d more are explained by jobs that the marked pods got",
			n, pool, removed, explained,
		)
	}
}

// ranJob reports whether a job ran on a pod within a period.
func (j *judge) ranJob(pool int, pod string, from, to time.Time) bool {
	for _, s := range j.w.ledger.onPod(pool, pod) {
		if s.at.Before(to) && (s.end.IsZero() || s.end.After(from)) {
			return true
		}
	}
	return false
}
