package workload

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// Trouble is why a pod cannot start, if more time alone does not fix it; empty if there is none.
type Trouble string

// What can keep a pod from starting.
const (
	TroubleScheduling Trouble = "Unschedulable"
	TroubleImage      Trouble = "ImagePull"
	TroubleCrash      Trouble = "CrashLoop"
	TroubleContainer  Trouble = "ContainerConfig"
	// TroubleUnknown is a trouble that a former operator process saw: its kind was lost in the
	// restart.
	TroubleUnknown Trouble = "Unknown"
)

// troubles are all troubles, most important first, each with what a user should check. The texts
// contain no counts and no names of pods, so that a condition that shows one does not flap.
var troubles = []struct {
	trouble Trouble
	advice  string
}{
	{TroubleScheduling, "no node takes them (resources, selectors, taints)"},
	{TroubleImage, "an image can't be pulled: look at its name, tag and pull secrets"},
	{TroubleCrash, "a container ends again and again: look at its log"},
	{TroubleContainer, "a container can't be made: look for a missing ConfigMap, Secret, command or user"},
	{TroubleUnknown, "look at their events and logs"},
}

// Advice says what a user should check.
func (t Trouble) Advice() string {
	for _, row := range troubles {
		if row.trouble == t {
			return row.advice
		}
	}
	return string(t)
}

// WorstTrouble is the trouble to report of pods that are not terminating: always the same one of
// several.
func WorstTrouble(pods []Pod) Trouble {
	for _, row := range troubles {
		if slices.ContainsFunc(pods, func(p Pod) bool { return !p.Terminating && p.Trouble == row.trouble }) {
			return row.trouble
		}
	}
	return ""
}

// waitingTroubles maps a container's reason for waiting to a trouble. Other reasons are
// TroubleContainer.
var waitingTroubles = map[string]Trouble{
	"":                          "",
	"ContainerCreating":         "",
	"PodInitializing":           "",
	"CrashLoopBackOff":          TroubleCrash,
	"ErrImagePull":              TroubleImage,
	"ImagePullBackOff":          TroubleImage,
	"InvalidImageName":          TroubleImage,
	"ErrImageNeverPull":         TroubleImage,
	"ImageInspectError":         TroubleImage,
	"RegistryUnavailable":       TroubleImage,
	"SignatureValidationFailed": TroubleImage,
}

// TroubleOf reads what keeps a pod from starting.
func TroubleOf(p *corev1.Pod) Trouble {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse &&
			c.Reason != corev1.PodReasonSchedulingGated {
			return TroubleScheduling
		}
	}
	for _, c := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
		if c.State.Waiting == nil {
			continue
		}
		trouble, known := waitingTroubles[c.State.Waiting.Reason]
		if !known {
			return TroubleContainer
		}
		if trouble != "" {
			return trouble
		}
	}
	return ""
}
