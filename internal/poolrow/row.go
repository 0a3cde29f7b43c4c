package poolrow

import (
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/internal/diagnosis"
)

// Row is one pool.
type Row struct {
	Namespace   string  `json:"namespace"`
	Pool        string  `json:"pool"`
	Queued      float64 `json:"queued"`
	Running     float64 `json:"running"`
	WaitSeconds float64 `json:"oldestWaitSeconds"`
	JobSeconds  float64 `json:"jobSeconds"`
	Replicas    float64 `json:"replicas"`
	Desired     float64 `json:"desiredReplicas"`
	Ready       float64 `json:"readyReplicas"`
	Min         float64 `json:"minReplicas"`
	Max         float64 `json:"maxReplicas"`
	Partial     bool    `json:"partial"`
	Reason      string  `json:"reason"`

	// Severity and Problem are those of the most severe problem; empty without one.
	Severity string `json:"severity,omitempty"`
	Problem  string `json:"problem,omitempty"`
	// Rank orders rows by severity: the greater, the more severe; 0 without a problem.
	Rank int `json:"rank,omitempty"`

	// FiguresAgeSeconds is the age of the newest answer of a job server with the figures; unset if
	// there is none, or if the row is made from a status.
	FiguresAgeSeconds *float64 `json:"figuresAgeSeconds,omitempty"`
	// Silent are the job servers whose last poll failed, up to MaxSilent, longest silent first.
	Silent []Silent `json:"silentServers,omitempty"`
}

// MaxSilent bounds the silent job servers of one row.
const MaxSilent = 8

// Silent is a job server whose last poll failed.
type Silent struct {
	Server string `json:"server"`
	State  string `json:"state"` // why
	// AnswerAgeSeconds is how old its last good answer is; unset if there was none.
	AnswerAgeSeconds *float64 `json:"answerAgeSeconds,omitempty"`
}

// Of is the row of a pool by its status.
func Of(p *v1alpha1.GearmanWorkerPool) Row {
	s := &p.Status
	row := Row{
		Namespace: p.Namespace, Pool: p.Name, Queued: float64(s.Queue.Queued), Running: float64(s.Queue.Running),
		WaitSeconds: float64(s.Queue.OldestWaitSeconds), JobSeconds: float64(s.Queue.JobMilliseconds) / 1000,
		Replicas: float64(s.Replicas), Desired: float64(s.DesiredReplicas), Ready: float64(s.ReadyReplicas),
		Min: float64(p.Spec.MinReplicas), Max: float64(p.Spec.MaxReplicas), Reason: s.Decision.Reason,
	}
	if c := meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionJobServersReachable); c != nil &&
		c.Status == metav1.ConditionFalse {
		row.Partial = true
	}
	if c := meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionStalled); c != nil &&
		c.Status == metav1.ConditionTrue {
		row.Reason = c.Reason
	}
	if worst, ok := diagnosis.Worst(p); ok {
		row.Severity, row.Problem, row.Rank = worst.Severity.String(), worst.Title, int(worst.Severity)+1
	}
	return row
}
