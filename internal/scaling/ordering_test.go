package scaling

import (
	"fmt"
	"maps"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
)

const startOfTest = 10 * time.Second

// podSim simulates a pool whose law wants so many slots that are ready or starting: blocked ones
// count for nothing.
type podSim struct {
	in          OrderingInput
	state       OrderingState
	slots       int32 // as the law wants
	next        int
	trouble     func(i int) Trouble // of the i-th new pod
	found       Trouble             // of each pod, a round after it has become ready
	mostAllowed int32
	last        Order
}

func newPodSim(slots int32, trouble func(i int) Trouble) *podSim {
	c := &podSim{slots: slots, trouble: trouble}
	c.in = OrderingInput{Now: epochOfTest, Maximum: 60, Template: "a", Start: startOfTest}
	return c
}

func all(t Trouble) func(int) Trouble { return func(int) Trouble { return t } }

func (c *podSim) add(n int, change func(p *Pod)) {
	for range n {
		p := Pod{
			UID: fmt.Sprintf("pod-%02d", c.next), Owned: true, Assigned: true, Created: c.in.Now,
			Trouble: c.trouble(c.next),
		}
		c.next++
		if p.Trouble == TroubleUnschedulable {
			p.Assigned = false
		}
		if change != nil {
			change(&p)
		}
		c.in.Pods = append(c.in.Pods, p)
	}
	c.in.Replicas = max(c.in.Replicas, int32(len(c.in.Pods)))
}

func working(now time.Time) func(*Pod) {
	return func(p *Pod) {
		p.Trouble, p.Assigned, p.Phase = TroubleNone, true, PhaseRunning
		p.Ready, p.WasReady, p.ReadySince = true, true, now.Add(-time.Hour)
	}
}

// run simulates rounds of 5 s: pods without trouble are ready after 10 s, those with trouble never.
func (c *podSim) run(d time.Duration) *podSim {
	for end := c.in.Now.Add(d); c.in.Now.Before(end); {
		c.in.Now = c.in.Now.Add(5 * time.Second)
		c.in.Answer = c.in.Now
		usable := int32(0)
		for i := range c.in.Pods {
			p := &c.in.Pods[i]
			if p.Trouble == TroubleNone && !p.Ready && c.in.Now.Sub(p.Created) >= startOfTest {
				p.Assigned, p.Phase, p.Ready, p.WasReady, p.ReadySince = true, PhaseRunning, true, true, c.in.Now
			} else if p.Ready && c.found != TroubleNone {
				p.Trouble = c.found
			}
			if p.Trouble == TroubleNone || p.Trouble == TroubleGated {
				usable++
			}
		}
		c.in.Want = c.in.Replicas + max(0, c.slots-usable)
		c.decide()
	}
	return c
}

// all gives every pod the trouble; Kubernetes still reports the ready ones as ready.
func (c *podSim) all(t Trouble) {
	for i := range c.in.Pods {
		c.in.Pods[i].Trouble = t
	}
}

func (c *podSim) decide() Order {
	o, s := OrderReplicas(&c.in, c.state)
	c.state, c.last = s, o
	c.in.Replicas = o.Replicas
	c.mostAllowed = max(c.mostAllowed, o.Replicas)
	if n := int(o.Replicas); len(c.in.Pods) > n {
		c.in.Pods = c.in.Pods[:n] // the last ones don't work
	} else if !c.in.Refused {
		c.add(n-len(c.in.Pods), nil)
	}
	return o
}

func TestOrderReplicas(t *testing.T) {
	t.Parallel()
	type outcome struct {
		Most, Now int32
		Limited   bool
	}
	fails := all(TroubleFailing)
	tests := map[string]struct {
		podSim *podSim
		play   func(c *podSim)
		want   outcome
	}{
		"pods that start are ordered as wanted": {
			newPodSim(40, all(TroubleNone)), func(c *podSim) { c.run(time.Minute) }, outcome{40, 40, false},
		},
		"one job and no node: one pod, for ever": {
			newPodSim(1, all(TroubleUnschedulable)), func(c *podSim) { c.run(time.Hour) }, outcome{1, 1, true},
		},
		"one job and a broken image: two pods at first": {
			newPodSim(1, fails), func(c *podSim) { c.run(4 * time.Minute) }, outcome{2, 2, true},
		},
		"and three at most": {
			newPodSim(1, fails), func(c *podSim) { c.run(time.Hour) }, outcome{3, 3, true},
		},
		"the third finds the node that works": {
			newPodSim(
				1, func(i int) Trouble { return []Trouble{TroubleFailing, TroubleFailing, TroubleNone}[min(i, 2)] },
			),
			func(c *podSim) { c.run(6 * time.Minute) },
			outcome{3, 3, false},
		},
		"sixty jobs and a command that no pod has: three pods at most": {
			newPodSim(1, all(TroubleTakesNoJobs)), func(c *podSim) {
				c.run(time.Minute)
				c.slots = 60
				c.run(time.Hour)
			}, outcome{3, 3, true},
		},
		"and pods that are ready until they find that out order no others": {
			newPodSim(1, all(TroubleNone)), func(c *podSim) {
				c.found = TroubleTakesNoJobs
				c.run(time.Minute)
				c.slots = 60
				c.run(time.Hour)
			}, outcome{3, 3, true},
		},
		"a service that no pod reaches orders no pod": {
			newPodSim(1, all(TroubleUnreachable)), func(c *podSim) {
				c.run(time.Minute)
				c.slots = 60
				c.run(time.Hour)
			}, outcome{1, 1, true},
		},
		"a service that is down takes no pod back": {
			newPodSim(10, all(TroubleNone)), func(c *podSim) {
				c.run(10 * time.Minute)
				c.all(TroubleUnreachable)
				c.slots = 60
				c.run(time.Hour)
			}, outcome{10, 10, true},
		},
		"pods that were ready for long and take no jobs any more order no others": {
			newPodSim(3, all(TroubleNone)), func(c *podSim) {
				c.run(10 * time.Minute)
				c.trouble = all(TroubleTakesNoJobs)
				c.all(TroubleTakesNoJobs)
				c.slots = 60
				c.run(4 * time.Minute)
			}, outcome{3, 3, true},
		},
		"one job and a scheduling gate: one pod": {
			newPodSim(1, all(TroubleGated)), func(c *podSim) { c.run(time.Hour) }, outcome{1, 1, false},
		},
		"a pod that says nothing counts after a time": {
			newPodSim(1, all(TroubleNone)), func(c *podSim) { c.silent() }, outcome{3, 3, true},
		},
		"one job and a quota: one replica": {
			newPodSim(1, all(TroubleNone)), func(c *podSim) { c.in.Refused = true; c.run(time.Hour) },
			outcome{1, 1, true},
		},
		"a flood and no node: what was ordered before it was known, and later the allowance": {
			newPodSim(60, all(TroubleUnschedulable)),
			func(c *podSim) { c.add(1, nil); c.in.Replicas = 1; c.run(14 * time.Minute) },
			outcome{5, 5, true},
		},
		"nodes come: the allowance doubles": {newPodSim(60, all(TroubleUnschedulable)), func(c *podSim) {
			c.add(1, nil)
			c.run(10 * time.Second)
			c.scheduled(3)
			c.run(10 * time.Second)
		}, outcome{13, 13, true}},
		"too many for long without a node: given up": {newPodSim(60, all(TroubleUnschedulable)), func(c *podSim) {
			c.add(60, nil)
			c.run(16 * time.Minute)
		}, outcome{60, 5, true}},
		"too many that fail are given up sooner": {
			newPodSim(60, fails), func(c *podSim) { c.add(60, nil); c.run(6 * time.Minute) }, outcome{60, 3, true},
		},
		"but never below what is ordered in full": {newPodSim(60, fails), func(c *podSim) {
			c.in.Floor = 20
			c.add(60, nil)
			c.run(6 * time.Minute)
		}, outcome{60, 20, true}},
		"beside one that works, all that may be tried meet bad nodes: later another is": {newPodSim(4, func(i int) Trouble {
			if i < 3 {
				return TroubleFailing
			}
			return TroubleNone
		}), func(c *podSim) { c.add(1, working(c.in.Now)); c.run(12 * time.Minute) }, outcome{6, 6, false}},
		"and no second one while that starts": {newPodSim(4, func(i int) Trouble {
			if i < 4 {
				return TroubleFailing
			}
			return TroubleNone
		}), func(c *podSim) {
			c.add(1, working(c.in.Now))
			c.run(anotherTry - 5*time.Second)
			c.slots = 60
			c.run(20 * time.Second)
		}, outcome{5, 5, true}},
		"a minimum is ordered in full": {newPodSim(0, fails), func(c *podSim) {
			c.add(1, nil)
			c.in.Floor, c.in.Want, c.in.Replicas = 10, 10, 1
			c.in.Now, c.in.Answer = c.in.Now.Add(time.Minute), c.in.Now.Add(time.Minute)
			c.decide()
		}, outcome{10, 10, false}},
		"beside many that work, one bad node in ten does not starve the pool": {newPodSim(20, func(i int) Trouble {
			if i%10 == 3 {
				return TroubleFailing
			}
			return TroubleNone
		}), func(c *podSim) { c.add(1, working(c.in.Now)); c.run(5 * time.Minute) }, outcome{22, 22, false}},
		"a new template is tried anew": {newPodSim(60, fails), func(c *podSim) {
			c.run(time.Minute)
			c.trouble = all(TroubleNone)
			c.in.Template, c.in.Pods, c.in.Replicas = "b", nil, 1
			c.add(1, nil)
			c.run(time.Minute)
		}, outcome{60, 60, false}},
		"a pod that crashes is no evidence while it is ready in between": {newPodSim(5, fails), func(c *podSim) {
			c.run(time.Minute)
			for range 20 {
				for i := range c.in.Pods {
					c.in.Pods[i].Trouble, c.in.Pods[i].Ready, c.in.Pods[i].ReadySince = TroubleNone, true, c.in.Now
				}
				c.in.Now, c.in.Want = c.in.Now.Add(5*time.Second), c.in.Replicas+1
				c.in.Answer = c.in.Now
				c.decide()
			}
		}, outcome{5, 5, true}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tc.play(tc.podSim)
			if diff := gocmp.Diff(
				tc.want, outcome{tc.podSim.mostAllowed, tc.podSim.in.Replicas, tc.podSim.last.Limited},
			); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// silent simulates pods that never become ready and report no reason; the law counts them as
// starting until it gives them up, too.
func (c *podSim) silent() {
	for range 200 {
		c.in.Now = c.in.Now.Add(5 * time.Second)
		c.in.Answer = c.in.Now
		usable := int32(0)
		for i := range c.in.Pods {
			if !c.in.Pods[i].Blocked(c.in.Now, c.in.Start) {
				usable++
			}
		}
		c.in.Want = c.in.Replicas + max(0, c.slots-usable)
		c.decide()
	}
}

// scheduled gives the first n pods a node.
func (c *podSim) scheduled(n int) {
	for i := range c.in.Pods[:n] {
		c.in.Pods[i].Assigned, c.in.Pods[i].Trouble = true, TroubleNone
		c.in.Pods[i].Created = c.in.Now
	}
}

// TestExcusedPodsAreTheOldest: which failing pods say nothing about the others any more follows from
// the input, so that equal situations get equal orders.
func TestExcusedPodsAreTheOldest(t *testing.T) {
	t.Parallel()
	in := OrderingInput{
		Now: epochOfTest, Replicas: 9, Want: 12, Maximum: 60, Template: "a", Start: startOfTest, Answer: epochOfTest,
	}
	state := OrderingState{Since: epochOfTest.Add(-time.Hour), Maximum: 60, Template: "a", Failing: map[string]bool{}}
	want := map[string]bool{}
	for i := range 9 {
		p := Pod{UID: fmt.Sprint(i), Owned: true, Ready: true, Created: epochOfTest.Add(-time.Hour)}
		p.ReadySince = p.Created
		if i < 6 {
			p.Ready, p.WasReady, p.Trouble = false, true, TroubleFailing
			state.Failing[p.UID] = false
			want[p.UID] = i < 3 // as many as work
		}
		in.Pods = append(in.Pods, p)
	}
	for range 20 { // the order of a map is another one each time
		s := state
		s.Failing = maps.Clone(state.Failing)
		_, s = OrderReplicas(&in, s)
		if diff := gocmp.Diff(want, s.Failing); diff != "" {
			t.Fatalf("excused pods (-want +got):\n%s", diff)
		}
	}
}

// TestNoScaleUpOnAnOldAnswer: a second scale-up waits for a poll that is newer than the first; from
// zero and to a minimum nothing waits.
func TestNoScaleUpOnAnOldAnswer(t *testing.T) {
	t.Parallel()
	c := newPodSim(10, all(TroubleNone))
	c.add(1, working(c.in.Now))
	c.run(5 * time.Second)
	c.in.Want = 20
	if o := c.decide(); !o.AwaitsPoll || o.Replicas != 10 {
		t.Errorf("on the same answer: %+v, want 10 replicas as before", o)
	}
	c.in.Floor = 12
	c.in.Want = 12
	if o := c.decide(); o.Replicas != 12 {
		t.Errorf("a minimum on the same answer: %+v, want 12 replicas", o)
	}
	c.in.Answer, c.in.Want = c.in.Answer.Add(time.Second), 20
	if o := c.decide(); o.Replicas != 20 {
		t.Errorf("on a newer answer: %+v, want 20 replicas", o)
	}
}
