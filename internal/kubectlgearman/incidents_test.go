package kubectlgearman

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/internal/backlog"
	"github.com/gearman-operator/gearman-operator/internal/cli"
	"github.com/gearman-operator/gearman-operator/internal/outcome"
	"github.com/gearman-operator/gearman-operator/internal/policy"
	"github.com/gearman-operator/gearman-operator/internal/poolrow"
	"github.com/gearman-operator/gearman-operator/internal/poolstatus"
	"github.com/gearman-operator/gearman-operator/internal/scaling"
	"github.com/gearman-operator/gearman-operator/internal/workload"
)

// incident is a pool with a problem. The law decides on it for an hour of equal samples, and the
// status is built from that and from the facts, as in the operator.
type incident struct {
	name, heading string
	title         string // of the problem that top and explain must name first
	spec          func(*v1alpha1.GearmanWorkerPoolSpec)
	queued        int64
	running       int64
	completes     bool // jobs complete all the time
	crashes       bool // jobs are requeued all the time
	ready, broken int  // pods
	sample        func(*scaling.Sample)
	facts         func(*poolstatus.Facts)
}

// scheduleTypo is the operator's error of an invalid schedule.
func scheduleTypo() string {
	_, err := policy.CompileSchedules([]v1alpha1.Schedule{
		{Name: "night", Start: "0 25 * * *", DurationSeconds: 3600, MinReplicas: new(int32(1))},
	})
	return err.Error()
}

var incidents = []incident{
	{
		name: "mail", heading: "The job server is down",
		title: "No job server answers. The number of pods stays as it is.", queued: 40, running: 2, ready: 2,
		sample: func(s *scaling.Sample) { s.Partial, s.Answering, s.Silent, s.NoAnswer = true, 0, 1, 10*time.Minute },
		facts: func(f *poolstatus.Facts) {
			s := &f.View.Sample
			s.Partial, s.Servers[0].State, s.Servers[0].Fresh = true, backlog.StateRefused, false
		},
	},
	{
		name: "thumbs", heading: "An image can't be pulled", title: "The pool's pods don't start.", queued: 120,
		broken: 2,
		facts:  func(f *poolstatus.Facts) { f.Trouble, f.NoWorker, f.HeldBack = workload.TroubleImage, true, true },
	},
	{
		name: "resize", heading: "All jobs fail", title: "Jobs fail.", queued: 3, running: 2, ready: 2, completes: true,
		facts: func(f *poolstatus.Facts) {
			f.View.Failing, f.View.JobsTotal = true, outcome.Counts{Completed: 900, Failed: 420}
			f.View.LastHour = f.View.JobsTotal
		},
	},
	{
		name: "export", heading: "A quota refuses the pods", title: "The API server refuses the pool's pods.",
		queued: 60, running: 1, ready: 1, completes: true,
		facts: func(f *poolstatus.Facts) {
			f.Stall = poolstatus.Stall{Reason: poolstatus.ReasonPodsRefused, KeepsRunning: true, Message: `pods "export-5d8f7c9b4-" is forbidden: exceeded quota: team, requested: cpu=1, limited: cpu=8`}
		},
	},
	{
		name: "search", heading: "Paused, and forgotten", title: "Scaling is paused.", queued: 15, ready: 0,
		spec: func(s *v1alpha1.GearmanWorkerPoolSpec) { s.Scaling = &v1alpha1.ScalingSpec{Mode: v1alpha1.ModePaused} },
	},
	{
		name: "index", heading: "Somebody else changes the replicas",
		title: "Somebody else keeps changing the replicas, so the operator paused scaling.", queued: 8, running: 1,
		ready: 1, completes: true,
		facts: func(f *poolstatus.Facts) { f.Contested = true },
	},
	{
		name: "video", heading: "Telemetry is late",
		title: "Fewer pods would do, but it is not known which can be removed without cutting off a job.", running: 1,
		ready: 6,
		sample: func(s *scaling.Sample) {
			for i := range s.Pods {
				s.Pods[i].Telemetry = false
			}
		},
		facts: func(f *poolstatus.Facts) { f.Removal = scaling.Removal{Blocked: true, Reason: scaling.RemovalUnknown} },
	},
	{
		name: "parse", heading: "A job crashes every worker that runs it",
		title: "Jobs run, but none has completed for a long time.", queued: 5, running: 3, ready: 3, crashes: true,
	},
	{
		name: "report", heading: "A typo in a schedule", title: "A schedule or scaling.behavior is invalid.",
		running: 1, ready: 1, completes: true,
		facts: func(f *poolstatus.Facts) {
			f.Stall = poolstatus.Stall{
				Reason: poolstatus.ReasonInvalidScaling, KeepsRunning: true, Message: scheduleTypo(),
			}
		},
	},
	{
		name: "notify", heading: "The target wait is below the start time",
		title: "Pods take longer to start than a job should wait.", running: 1, ready: 2, completes: true,
		spec: func(s *v1alpha1.GearmanWorkerPoolSpec) {
			s.Scaling = &v1alpha1.ScalingSpec{TargetWaitSeconds: new(int32(5))}
		},
		facts: func(f *poolstatus.Facts) { f.View.SlowStart = true },
	},
}

// happens simulates an incident and returns the pool as the API server would have it.
func (i *incident) happens(t *testing.T, now time.Time) *v1alpha1.GearmanWorkerPool {
	t.Helper()
	pool := &v1alpha1.GearmanWorkerPool{ObjectMeta: metav1.ObjectMeta{Namespace: "jobs", Name: i.name, Generation: 1}}
	pool.Spec = v1alpha1.GearmanWorkerPoolSpec{
		Servers: []v1alpha1.ServerAddress{"gearmand.jobs.svc:4730"}, Function: v1alpha1.FunctionName(i.name),
		Image: "example.com/" + i.name, MaxReplicas: 10, Concurrency: 1,
	}
	if i.spec != nil {
		i.spec(&pool.Spec)
	}
	compiled, err := policy.Compile(&pool.Spec)
	if err != nil {
		t.Fatal(err)
	}
	begin := now.Add(-time.Hour)
	in := scaling.Sample{
		Answering: 1, Replicas: int32(i.ready + i.broken),
		Functions: []scaling.FunctionSample{
			{Name: i.name, Total: i.queued + i.running, Running: i.running, Busy: i.running, Runnable: true},
		},
	}
	for n := range i.ready + i.broken {
		p := scaling.PodSample{Name: fmt.Sprint(n), Created: begin.Add(-time.Hour), Broken: n >= i.ready}
		if n < i.ready {
			p.Ready, p.Telemetry, p.Registered, p.Capacity = true, true, p.Created.Add(8*time.Second), 1
			p.Busy = min(1, max(0, int32(i.running)-int32(n)))
		}
		in.Pods = append(in.Pods, p)
	}
	if i.sample != nil {
		i.sample(&in)
	}
	var d scaling.Decision
	state := scaling.NewState(scaling.Learnt{}, begin)
	law := compiled.At(now)
	for at := begin; !at.After(now); at = at.Add(5 * time.Second) {
		if f := &in.Functions[0]; i.completes {
			f.Ended, f.EndedSeconds = f.Ended+i.running, f.EndedSeconds+5*float64(i.running)
		}
		if i.crashes {
			in.Functions[0].Requeued += i.running
		}
		in.Functions[0].BusySeconds += 5 * float64(i.running)
		d, state = scaling.Decide(law, state, in, at)
	}
	sample := backlog.Sample{
		Functions: []backlog.FunctionSample{{Name: i.name, Queued: i.queued, Running: i.running}},
		Servers: []backlog.ServerSample{{
			Address: "gearmand.jobs.svc:4730", Resolved: netip.MustParseAddrPort("10.96.0.7:4730"),
			State: backlog.StateOK, Fresh: true, LastGood: now,
		}},
	}
	f := &poolstatus.Facts{
		Generation: 1, Functions: policy.Functions(&pool.Spec), Mode: policy.Mode(&pool.Spec),
		Workload: workload.State{Exists: true, Replicas: in.Replicas, Current: in.Replicas, Ready: int32(i.ready)},
		View:     poolstatus.NewView(now, d, law, sample, state.Learnt()),
	}
	f.View.TargetWait = law.TargetWait
	if i.facts != nil {
		i.facts(f)
	}
	pool.Status = *poolstatus.Build(&pool.Status, f)
	for k := range pool.Status.Conditions {
		pool.Status.Conditions[k].LastTransitionTime = metav1.NewTime(now.Add(-40 * time.Second))
	}
	pool.ManagedFields = []metav1.ManagedFieldsEntry{{
		Subresource: "status", Time: &metav1.Time{Time: now.Add(-20 * time.Second)},
		FieldsV1: metav1.NewFieldsV1(`{"f:status":{"f:decision":{}}}`),
	}}
	return pool
}

// The output of top and explain names the problem and what to try, for each of ten incidents.
// docs/incidents.md shows it; UPDATE_GOLDEN=1 writes it anew.
func TestIncidents(t *testing.T) {
	t.Parallel()
	const page = "../../docs/incidents.md"
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var rows []poolrow.Row
	var explained strings.Builder
	for i := range incidents {
		pool := incidents[i].happens(t, now)
		rows = append(rows, poolrow.Of(pool))
		var out bytes.Buffer
		if err := writeExplanation(cli.Sanitized(&out), explainOptions{now: now}, pool); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&explained, "\n## %s\n\n```console\n$ kubectl gearman explain %s -n jobs\n%s```\n", incidents[i].heading, pool.Name, trimmed(out.String()))
		first := regexp.MustCompile(`(?m)^(?:CRITICAL|WARNING|INFO): (.*)$`).FindStringSubmatch(out.String())
		if first == nil || first[1] != incidents[i].title || !strings.Contains(out.String(), "  Try: ") {
			t.Errorf(
				"%s: explain begins with the problem %q, want %q and what to try:\n%s", incidents[i].heading, first,
				incidents[i].title, out.String(),
			)
		}
	}
	well := incident{name: "well", running: 1, ready: 1, completes: true}
	rows = append(rows, poolrow.Of(well.happens(t, now)))
	var table bytes.Buffer
	sorted := arrange(rows, "problem")
	if err := cli.WriteRows(cli.Sanitized(&table), "", topColumns, sorted); err != nil {
		t.Fatal(err)
	}
	if last := sorted[len(sorted)-1]; last.Pool != "well" || last.Problem != "" {
		t.Errorf("the last pool is %+v, want the one that works", last)
	}
	for i := range incidents {
		if !regexp.MustCompile(`(?m)^jobs +` + incidents[i].name + ` .*: ` + regexp.QuoteMeta(incidents[i].title) + ` *$`).MatchString(table.String()) {
			t.Errorf(
				"%s: top does not name the problem %q:\n%s", incidents[i].heading, incidents[i].title, table.String(),
			)
		}
	}

	data, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "<!-- incidents: written by the tests of internal/kubectlgearman -->\n", "<!-- end of incidents -->\n"
	head, rest, found := strings.Cut(string(data), begin)
	_, tail, closed := strings.Cut(rest, end)
	if !found || !closed {
		t.Fatalf("%s lacks the lines %q and %q", page, begin, end)
	}
	want := head + begin + "\n```console\n$ kubectl gearman top -n jobs\n" + trimmed(table.String()) + "```\n" + explained.String() + "\n" + end + tail
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, string(data)); diff != "" {
		t.Errorf("%s is not what the plugin prints; UPDATE_GOLDEN=1 writes it anew (-want +got):\n%s", page, diff)
	}
}

// trimmed is a text without blanks at the ends of lines.
func trimmed(s string) string { return regexp.MustCompile(` +\n`).ReplaceAllString(s, "\n") }
