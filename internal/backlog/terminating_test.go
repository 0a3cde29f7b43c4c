package backlog

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// terminate makes the first pod of the test terminate.
func (tt *telemetryTest) terminate() {
	tt.pods(
		PodRef{UID: uidOne, Name: "pool-a-1", IP: "10.1.0.1", Terminating: true},
		PodRef{UID: uidTwo, Name: "pool-a-2", IP: "10.1.0.2"},
	)
}

func (tt *telemetryTest) wantTakers(what string, want ...string) {
	tt.t.Helper()
	if diff := cmp.Diff(want, sample(tt.t, tt.w, poolA).TerminatingTakeJobs); diff != "" {
		tt.t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestTerminatingPodsThatStayRegistered(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		rows    []string
		running int // jobs of f
		want    bool
	}{
		"idle and registered":        {rows: []string{"10.1.0.1 - : f"}, want: true},
		"as an IPv6 socket shows it": {rows: []string{"::ffff:10.1.0.1 - : x f"}, want: true},
		"its last job runs":          {rows: []string{"10.1.0.1 - : f"}, running: 1},
		"two workers, and one job runs": {
			rows: []string{"10.1.0.1 - : f", "10.1.0.1 - : f"}, running: 1, want: true,
		},
		"connected, but not registered":    {rows: []string{"10.1.0.1 - :"}},
		"registered for others' functions": {rows: []string{"10.1.0.1 - : x"}},
		"another pod is registered":        {rows: []string{"10.1.0.2 - : f"}},
		"a row that can't be read":         {rows: []string{"10.1.0.1"}},
		"gone":                             {},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testTelemetry(t, func(tt *telemetryTest) {
				tt.one.function("f", tc.running, tc.running, 2)
				tt.show(tt.one, tc.rows...)
				tt.wantTakers("before it is told to stop")
				tt.terminate()
				time.Sleep(20 * time.Second)
				tt.wantTakers("soon after")
				time.Sleep(70 * time.Second)
				if !tc.want {
					tt.wantTakers("later")
					return
				}
				tt.wantTakers("later", "pool-a-1")
				tt.show(tt.one)
				tt.wantTakers("when it has left")
			})
		})
	}
}

// A worker that runs a long job is not reported meanwhile, and one that was found idle stays found
// while it is busy.
func TestTerminatingPodThatTakesAnotherJob(t *testing.T) {
	t.Parallel()
	testTelemetry(t, func(tt *telemetryTest) {
		tt.one.function("f", 1, 1, 1)
		tt.show(tt.one, "10.1.0.1 - : f")
		tt.terminate()
		time.Sleep(3 * time.Minute)
		tt.wantTakers("a long job")
		tt.one.function("f", 0, 0, 1)
		time.Sleep(50 * time.Second)
		tt.wantTakers("idle", "pool-a-1")
		tt.one.function("f", 1, 1, 1)
		time.Sleep(time.Minute)
		tt.wantTakers("the next job", "pool-a-1")
		tt.pods(PodRef{UID: uidOne, Name: "pool-a-1", IP: "10.1.0.1"})
		tt.wantTakers("a pod that doesn't terminate")
		tt.terminate()
		tt.pods()
		if left := tt.w.Entries()["terminatingPods"]; left != 0 {
			t.Errorf("%d terminating pods are kept", left)
		}
	})
}

// Two pods with one address can't be told apart, so neither is reported.
func TestTerminatingPodThatSharesItsAddress(t *testing.T) {
	t.Parallel()
	testTelemetry(t, func(tt *telemetryTest) {
		tt.pods(
			PodRef{UID: uidOne, Name: "pool-a-1", IP: "10.1.0.1", Terminating: true},
			PodRef{UID: uidTwo, Name: "pool-a-2", IP: "10.1.0.1"},
		)
		tt.show(tt.one, "10.1.0.1 - : f")
		time.Sleep(2 * time.Minute)
		tt.wantTakers("shared")
	})
}

// A process with two slots ends at most two jobs after it was stopped, whatever its address looks
// like.
func TestTerminatingPodsWhoseTelemetryGoesOn(t *testing.T) {
	t.Parallel()
	testTelemetry(t, func(tt *telemetryTest) {
		start := time.Now()
		says := func(n int64) {
			tt.t.Helper()
			tt.show(tt.one, row("192.0.2.9", uidOne, time.Since(start), 2, "f", ended(n)))
		}
		says(5)
		tt.terminate()
		says(6)
		says(6)
		says(8)
		tt.wantTakers("its last jobs")
		says(9)
		tt.wantTakers("a new job", "pool-a-1")
		tt.show(tt.one)
		time.Sleep(reportValidFor)
		tt.wantTakers("no report for long")
	})
}
