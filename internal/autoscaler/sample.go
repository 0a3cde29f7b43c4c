package autoscaler

import (
	"time"

	"github.com/gearman-operator/gearman-operator/internal/backlog"
	"github.com/gearman-operator/gearman-operator/internal/sampling"
	"github.com/gearman-operator/gearman-operator/internal/scaling"
)

// scalingSample joins the samples of the job servers and of the API server. last is the time of the
// previous decision, tick the time between two.
func scalingSample(
	o *Observed, kind scaling.WorkloadKind, s *backlog.Sample, tick time.Duration, last, now time.Time,
) scaling.Sample {
	return sampling.Join(&sampling.Input{
		Servers: s, Replicas: o.Workload.Replicas, Rollout: o.Workload.Unsettled, Pods: samplingPods(o, kind),
		Tick: tick, Last: last, Now: now,
	})
}

func samplingPods(o *Observed, kind scaling.WorkloadKind) []sampling.Pod {
	if kind != scaling.KindOwned && len(o.Pods) == 0 {
		// None of the target's pods was read yet: only their numbers are known.
		pods := make([]sampling.Pod, max(0, o.Workload.Current))
		for i := range pods {
			pods[i].Ready = int32(i) < o.Workload.Ready
		}
		return pods
	}
	pods := make([]sampling.Pod, len(o.Pods))
	for i := range o.Pods {
		p := &o.Pods[i]
		pods[i] = sampling.Pod{
			Name: p.Name, UID: p.UID, Created: p.Created, ReadySince: p.ReadySince, Ready: p.Ready,
			WasReady: p.Ready || p.Marks.WasReady,
			Broken:   p.Trouble != "", Gated: p.Marks.Gated, Terminating: p.Terminating || p.Marks.Unowned,
		}
	}
	return pods
}
