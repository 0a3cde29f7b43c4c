package controllers

import (
	"context"
	"errors"

	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/gearman-operator/gearman-operator/internal/autoscaler"
	"github.com/gearman-operator/gearman-operator/internal/backlog"
	"github.com/gearman-operator/gearman-operator/internal/poolstatus"
	"github.com/gearman-operator/gearman-operator/internal/workload"
)

// planTemplate decides whether the pool's Deployment must be created or its template updated. A
// spec that can't be used as a whole changes no template.
func (r *PoolReconciler) planTemplate(_ context.Context, x *run) (ctrl.Result, error) {
	if x.facts.Stall.Reason != "" {
		return ctrl.Result{}, nil
	}
	x.recordFailure()
	if x.pool.Spec.TargetRef != nil {
		return ctrl.Result{}, nil
	}
	inputs, err := workload.Inputs(x.pool)
	if err != nil {
		return ctrl.Result{}, err
	}
	w, rt := &x.workload, r.options.Runtime
	// A new operator version alone rolls no pods. The image in use is taken from the status, which
	// only operators write: a user who may edit the Deployment's annotations must not be able to
	// make the operator roll out another image.
	if applied := x.pool.Status.RuntimeImage; w.Exists && w.Inputs == inputs && applied != "" &&
		!r.options.RolloutRuntime {
		rt.Image = applied
	}
	x.facts.RuntimeImage = rt.Image
	current := w.Exists && w.Inputs == inputs && w.RuntimeImage == rt.Image
	var drifted, contested bool
	r.pools.Do(x.key, func(p *autoscaler.Pool) {
		drifted = w.Exists && p.Drifted(w)
		contested = current && drifted && p.EditsContested(r.clock.Now())
	})
	if current && !drifted {
		return ctrl.Result{}, nil
	}
	if contested {
		x.facts.Stall = poolstatus.Stall{
			Reason:  poolstatus.ReasonContested,
			Message: "somebody else keeps changing the Deployment: stop them, or make the change in the pool",
		}
		return ctrl.Result{}, nil
	}
	d, err := workload.Deployment(x.pool, rt)
	if errors.Is(err, workload.ErrInvalidPodTemplate) {
		return x.invalidTemplate(err)
	}
	if err != nil {
		return ctrl.Result{}, err
	}
	x.template = template{
		deployment: d, inputs: inputs, image: rt.Image, create: !w.Exists, restore: drifted && current,
	}
	return ctrl.Result{}, nil
}

// watchJobServers subscribes the pool to its job servers.
func (r *PoolReconciler) watchJobServers(_ context.Context, x *run) (ctrl.Result, error) {
	pods := make([]backlog.PodRef, len(x.pods))
	for i, p := range x.pods {
		pods[i] = backlog.PodRef{UID: p.UID, Name: p.Name, IP: p.IP, Terminating: p.Terminating && !p.Marks.HostNetwork}
	}
	watch := func() error {
		sub := x.spec.Poll
		sub.AtZero = x.workload.Replicas == 0
		return r.pools.Watch(x.key, sub, pods)
	}
	err := watch()
	if err == nil {
		return ctrl.Result{}, nil
	}
	if x.pollAsBefore(); x.accepted == nil || watch() != nil {
		return x.stalled(poolstatus.ReasonInvalidServers, err.Error())
	}
	return x.unusable(poolstatus.ReasonInvalidServers, err.Error())
}

// decide calls the Autoscaler with the gathered facts, and records what the conditions report.
func (r *PoolReconciler) decide(_ context.Context, x *run) (ctrl.Result, error) {
	f := &x.facts
	observed := autoscaler.Observed{Workload: x.workload, Pods: x.pods, RollingOut: f.RollingOut}
	r.pools.Do(x.key, func(p *autoscaler.Pool) { p.SetOldestWait(poolstatus.OldestWait(&x.pool.Status)) })
	f.View = r.pools.Observe(x.key, x.spec, observed, poolstatus.Learnt(&x.pool.Status))
	f.Shared = poolstatus.SharedNames(r.pools.Share(x.key, x.spec.Poll.Servers, x.spec.Poll.Functions))
	r.pools.Do(x.key, func(p *autoscaler.Pool) {
		if !f.Stall.KeepsRunning && x.failed == nil {
			p.Accept(x.spec)
		}
		f.Trouble, f.NoWorker = poolstatus.StartTrouble(x.pods, x.pool.Status.Conditions, p.Trouble(), r.clock.Now())
		p.SetTrouble(f.Trouble)
	})
	return ctrl.Result{}, nil
}
