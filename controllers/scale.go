package controllers

import (
	"context"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
)

const (
	// victimCost is the deletion cost of the pods that are to go first.
	victimCost = -1000
	// settle is how long the ReplicaSet controller is given to see new marks after we have seen them ourselves: its cache may lag behind ours.
	settle = 3 * time.Second
	// contestWindow is the time in which the second change of replicas by somebody else stops the operator from forcing its own.
	contestWindow = 10 * time.Minute
)

// scaler writes replicas. It remembers, for each pool, what it wrote, to notice when somebody else changes it.
type scaler struct {
	client client.Client
	mu     sync.Mutex
	memory map[types.NamespacedName]*scaleMemory
}

type scaleMemory struct {
	uid     string // of the Deployment
	written int32
	made    int64       // the generation that writing it made; the cache may still be behind
	foreign []time.Time // when somebody else changed replicas
	marked  time.Time   // since when the present deletion costs have been seen
}

func newScaler(c client.Client) *scaler {
	return &scaler{client: c, memory: map[types.NamespacedName]*scaleMemory{}}
}

func (s *scaler) forget(key types.NamespacedName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.memory, key)
}

func (s *scaler) size() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.memory)
}

// observe notes the replicas that a reconcile found and reports whether they are contested: changed by somebody else twice within
// contestWindow.
func (s *scaler) observe(key types.NamespacedName, w workload, now time.Time) (contested bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.memory[key]
	if m == nil || m.uid != w.uid {
		s.memory[key] = &scaleMemory{uid: w.uid, written: w.replicas}
		return false
	}
	if w.replicas != m.written && w.generation >= m.made {
		m.foreign = append(m.foreign, now)
		m.written = w.replicas
	}
	m.foreign = slices.DeleteFunc(m.foreign, func(t time.Time) bool { return now.Sub(t) > contestWindow })
	return len(m.foreign) >= 2
}

// scale brings the workload's replicas to those of the view, and returns what they are now. Growing happens at once, and so does going to zero where
// every pod is to go. Other shrinking takes two rounds: the first marks the victims, the second, at a later tick, lowers replicas by at most the
// victims that are still the same.
func (s *scaler) scale(ctx context.Context, pool *v1alpha1.GearmanWorkerPool, w workload, pods []pod, v view) (int32, error) {
	want := v.decision.Replicas
	key := client.ObjectKeyFromObject(pool)
	if _, behind := s.present(key, &w); behind {
		return w.replicas, nil // its event is on the way
	}
	if want < w.replicas && pool.Spec.TargetRef == nil && w.current > 0 && !allGo(w, pods, v) {
		n, err := s.victimsReady(ctx, key, w, pods, v)
		if err != nil || n == 0 {
			return w.replicas, err
		}
		if !v.decision.Forced {
			want = max(want, w.replicas-n)
		}
	}
	if want == w.replicas {
		return want, s.clearCosts(ctx, pool.Namespace, pods)
	}
	var made int64
	var err error
	if ref := pool.Spec.TargetRef; ref != nil {
		err = scaleTarget(ctx, s.client, pool.Namespace, ref, want)
		made = w.generation + 1 // its scale tells no generation; each change of replicas makes one
	} else {
		made, err = applyReplicas(ctx, s.client, pool.Namespace, pool.Name, want)
	}
	if err != nil {
		return w.replicas, err
	}
	s.mu.Lock()
	if m := s.memory[key]; m != nil {
		m.written, m.made = want, made
	}
	s.mu.Unlock()
	return want, nil
}

// allGo reports whether a pool goes to zero and each of its pods is a victim, so that it doesn't matter which goes first.
func allGo(w workload, pods []pod, v view) bool {
	if v.decision.Replicas != 0 || int(max(w.replicas, w.current)) != len(v.decision.Victims) {
		return false
	}
	for _, p := range pods {
		if !p.terminating && (!slices.Contains(v.decision.Victims, p.name) || v.busy(p.uid) > 0) {
			return false
		}
	}
	return true
}

// present is how many replicas the workload has, and whether the cache is behind that: it does not show what was last written yet. Whoever took the cache's
// for the present ones then, and wrote them, would undo that.
func (s *scaler) present(key types.NamespacedName, w *workload) (replicas int32, behind bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.memory[key]; m != nil && m.uid == w.uid && w.generation < m.made {
		return m.written, true
	}
	return w.replicas, false
}

// victimsReady marks the decision's victims as the first to go and unmarks all others. It returns by how many replicas may be
// lowered now: 0 in the round that wrote marks.
func (s *scaler) victimsReady(ctx context.Context, key types.NamespacedName, w workload, pods []pod, v view) (int32, error) {
	victims := v.decision.Victims
	if n := int(w.replicas - v.decision.Replicas); len(victims) > n {
		victims = victims[:n]
	}
	wrote := false
	var live int32
	for _, p := range pods {
		if p.terminating {
			continue
		}
		live++
		if !p.ready && v.busy(p.uid) > 0 {
			// The ReplicaSet controller takes unready pods before it looks at costs, and this one works on a job.
			return 0, nil
		}
		cost := int32(0)
		if slices.Contains(victims, p.name) {
			cost = victimCost
		}
		if p.cost != cost {
			if err := applyDeletionCost(ctx, s.client, key.Namespace, p.name, cost); err != nil {
				return 0, err
			}
			wrote = true
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.memory[key]
	if m == nil {
		return 0, nil
	}
	if wrote {
		m.marked = time.Time{}
		return 0, nil
	}
	if m.marked.IsZero() {
		m.marked = v.at
	}
	if live > w.replicas {
		return 0, nil // pods of an earlier round are still to go; were the same ones counted again, others would go
	}
	// A later tick still wants the same, and the marks have been there for a while.
	if v.at.Sub(m.marked) < settle {
		return 0, nil
	}
	return max(int32(len(victims)), boolToInt(v.decision.Forced)), nil
}

// clearCosts unmarks the pods of a pool that is not about to shrink.
func (s *scaler) clearCosts(ctx context.Context, namespace string, pods []pod) error {
	for _, p := range pods {
		if p.cost != 0 && !p.terminating {
			if err := applyDeletionCost(ctx, s.client, namespace, p.name, 0); err != nil {
				return err
			}
		}
	}
	return nil
}

func boolToInt(b bool) int32 {
	if b {
		return 1
	}
	return 0
}
