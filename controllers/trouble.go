package controllers

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
)

// trouble is why a pod cannot start, for a reason that has nothing to do with how long a start takes; empty where there is none. The cache
// keeps it as the reason of a pod's status, in place of all that it was read from.
type trouble string

const (
	troubleScheduling trouble = "Unschedulable"
	troubleImage      trouble = "ImagePull"
	troubleCrash      trouble = "CrashLoop"
	troubleContainer  trouble = "ContainerConfig"
)

// advice says what a user should look at. It holds no counts and no names of pods, so that a condition that shows it stays as it is.
func (t trouble) advice() string {
	switch t {
	case troubleScheduling:
		return "no node takes them (resources, selectors, taints)"
	case troubleImage:
		return "an image can't be pulled: look at its name, tag and pull secrets"
	case troubleCrash:
		return "a container ends again and again: look at its log"
	case troubleContainer:
		return "a container can't be made: look for a missing ConfigMap, Secret, command or user"
	}
	return string(t)
}

// calm is how long a pod must have been ready before it counts as mended, since a container that crashes is ready in between.
const calm = 30 * time.Second

// podTrouble reads what keeps a pod from starting.
func podTrouble(p *corev1.Pod) trouble {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return troubleScheduling
		}
	}
	for _, c := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
		w := c.State.Waiting
		if w == nil {
			continue
		}
		switch w.Reason {
		case "", "ContainerCreating", "PodInitializing":
		case "CrashLoopBackOff":
			return troubleCrash
		case "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError", "RegistryUnavailable", "SignatureValidationFailed":
			return troubleImage
		default:
			return troubleContainer
		}
	}
	return ""
}

// worstTrouble is what to tell of the pods of a pool: the trouble of one that can't start, and whether that leaves no worker at all. Where
// the pool's condition says the latter already, it goes on until a pod has been ready for a while.
func worstTrouble(pods []pod, conditions []metav1.Condition, now time.Time) (t trouble, none bool) {
	none = true
	for _, p := range pods {
		if p.terminating {
			continue
		}
		t = max(t, p.trouble) // any, but always the same one
		none = none && !p.ready
	}
	if t != "" {
		return t, none
	}
	c := meta.FindStatusCondition(conditions, v1alpha1.ConditionReady)
	if c == nil || c.Reason != reasonPodsNotStarting {
		return "", false
	}
	for _, p := range pods {
		if !p.terminating && p.ready && now.Sub(p.readySince) >= calm {
			return "", false
		}
	}
	if !slices.ContainsFunc(pods, func(p pod) bool { return !p.terminating }) {
		return "", false // there is nothing left that could fail
	}
	return lastTrouble(c.Message), true
}

const notStarting = "workers can't start: "

// lastTrouble finds the trouble that a condition's message speaks of.
func lastTrouble(message string) trouble {
	for _, t := range []trouble{troubleScheduling, troubleImage, troubleCrash, troubleContainer} {
		if message == notStarting+t.advice() {
			return t
		}
	}
	return troubleCrash
}
