package scaling

import (
	"fmt"
	"time"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// settle is a number of ticks well over any window.
const settle = 30

// pool is a pool driven by hand: its fields are the next sample.
type pool struct {
	policy Policy
	state  State
	sample Sample
	now    time.Time
	last   Decision
}

func newPool(p Policy, replicas int32) *pool {
	q := &pool{policy: p, state: NewState(Learnt{}, start), now: start}
	q.sample.Functions = []FunctionSample{{Name: "resize"}}
	q.sample.Replicas = replicas
	q.pods(replicas)
	return q
}

// pods sets so many ready, idle pods with telemetry.
func (q *pool) pods(n int32) {
	q.sample.Pods = nil
	for i := range n {
		q.sample.Pods = append(q.sample.Pods, PodSample{
			Name: fmt.Sprintf("pod-%d", i), Created: start.Add(-time.Hour), Registered: start.Add(-time.Hour),
			Ready: true, Telemetry: true, Capacity: 1,
		})
	}
}

// busy makes the first n pods busy with the first function.
func (q *pool) busy(n int) {
	for i := range q.sample.Pods {
		q.sample.Pods[i].Busy = 0
		if i < n {
			q.sample.Pods[i].Busy = 1
		}
	}
	f := &q.sample.Functions[0]
	queued := f.Total - f.Running
	f.Busy, f.Running = int64(n), int64(n)
	f.Total = f.Running + queued
}

func (q *pool) queue(n int64) {
	f := &q.sample.Functions[0]
	f.Total = f.Running + n
}

// tick decides once, a tick later.
func (q *pool) tick() Decision {
	q.now = q.now.Add(max(q.policy.Tick, 0))
	if q.policy.Tick <= 0 {
		q.now = q.now.Add(5 * time.Second)
	}
	f := &q.sample.Functions[0]
	f.BusySeconds += float64(f.Busy) * 5
	q.last, q.state = Decide(q.policy, q.state, q.sample, q.now)
	return q.last
}

func (q *pool) ticks(n int) Decision {
	for range n {
		q.tick()
	}
	return q.last
}

type outcome struct {
	Replicas int32
	Reason   Reason
	Limited  Limit
	Held     Hold
	Apply    bool
	Drains   bool
}

func (d Decision) outcome() outcome {
	return outcome{d.Replicas, d.Reason, d.Limited, d.Held, d.Apply, d.Drains}
}

// wide makes two pods of four slots, with two jobs and one.
func (q *pool) wide() {
	for i := range q.sample.Pods {
		q.sample.Pods[i].Capacity, q.sample.Pods[i].Busy = 4, int32(2-i)
	}
	f := &q.sample.Functions[0]
	f.Total, f.Running, f.Busy = 3, 3, 3
}

// withoutTelemetry removes the telemetry.
func (q *pool) withoutTelemetry() {
	for i := range q.sample.Pods {
		q.sample.Pods[i].Telemetry, q.sample.Pods[i].Capacity = false, 0
	}
}
