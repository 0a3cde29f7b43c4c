package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gearman-operator/gearman-operator/gearman/admin"
	"github.com/gearman-operator/gearman-operator/gearman/gearmantest/jobserver"
	"github.com/gearman-operator/gearman-operator/internal/sim/report"
	"github.com/gearman-operator/gearman-operator/internal/telemetry"
)

// reportOf is the report of a worker process that started at a time (ms) about the function resize.
func reportOf(start, ok, failed, okMillis int64) telemetry.Report {
	return telemetry.Report{
		UID: telemetry.UID([]byte("0a1b2c3d")), Start: start, Full: true, Capacity: 1,
		HasFunction: true, Function: telemetry.FunctionHash("resize"),
		Counters: telemetry.Counters{OK: ok, Failed: failed, OKMillis: okMillis, BusyMillis: okMillis},
	}
}

func TestTracer(t *testing.T) {
	t.Parallel()
	type poll struct {
		now     backlogOf
		reports []telemetry.Report
	}
	tests := map[string]struct {
		jobSeconds float64
		looks      []poll // one a second
		want       string
	}{
		"jobs come, nobody works": {
			looks: []poll{
				{now: backlogOf{5, 0}}, {now: backlogOf{8, 0}}, {now: backlogOf{8, 0}}, {now: backlogOf{9, 0}},
			},
			want: "1.000,resize,1.000,3\n3.000,resize,1.000,1\n",
		},
		"workers tell what ended, and how long it took": {
			looks: []poll{
				{backlogOf{5, 1}, []telemetry.Report{reportOf(1, 100, 7, 5000)}},
				{backlogOf{5, 1}, []telemetry.Report{reportOf(1, 102, 8, 6000)}},
				{backlogOf{1, 1}, []telemetry.Report{reportOf(1, 106, 8, 7000)}},
			},
			want: "1.000,resize,0.333,3\n", // 3 ended and 5 stay; then 4 ended of them
		},
		"two job servers tell the same, one of them late": {
			looks: []poll{
				{backlogOf{0, 0}, []telemetry.Report{reportOf(1, 0, 0, 0), reportOf(1, 0, 0, 0)}},
				{backlogOf{0, 0}, []telemetry.Report{reportOf(1, 2, 0, 4000), reportOf(1, 1, 0, 2000)}},
				{backlogOf{0, 0}, []telemetry.Report{reportOf(1, 1, 0, 2000)}},
			},
			want: "1.000,resize,2.000,2\n",
		},
		"a worker that starts while recording": {
			looks: []poll{{backlogOf{3, 0}, nil}, {backlogOf{1, 0}, []telemetry.Report{reportOf(9, 2, 0, 1000)}}},
		},
		"ids without counters tell nothing": {
			looks: []poll{
				{now: backlogOf{1, 0}},
				{backlogOf{2, 0}, []telemetry.Report{{UID: telemetry.UID([]byte("0a1b2c3d")), Start: 1}}},
			},
			want: "1.000,resize,1.000,1\n",
		},
		"no telemetry, but a job time": {
			jobSeconds: 0.5,
			looks:      []poll{{now: backlogOf{4, 1}}, {now: backlogOf{4, 1}}, {now: backlogOf{2, 1}}},
			want:       "1.000,resize,0.500,2\n",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tr := newTracer([]string{"resize"}, tt.jobSeconds)
			for i, l := range tt.looks {
				tr.observe(
					time.Duration(i)*time.Second, map[string]backlogOf{"resize": l.now, "other": {9, 9}}, l.reports,
				)
			}
			var out strings.Builder
			if err := tr.write(&out); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff("time_s,function,job_seconds,count\n"+tt.want, out.String()); diff != "" {
				t.Errorf("trace (-want +got):\n%s", diff)
			}
		})
	}
}

// The simulator can read and simulate a trace recorded from a real job server.
func TestRecordAndSimulate(t *testing.T) {
	t.Parallel()
	server := jobserver.Gearmand(t)
	conn, err := admin.Dial(t.Context(), server.Addr, admin.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	tr := newTracer([]string{"resize"}, 2)
	for second := range 4 {
		now, reports, err := poll(t.Context(), []*admin.Conn{conn})
		if err != nil {
			t.Fatal(err)
		}
		tr.observe(time.Duration(second)*time.Second, now, reports)
		queue(t, server.Addr, "resize")
	}
	var trace strings.Builder
	if err := tr.write(&trace); err != nil {
		t.Fatal(err)
	}
	workload, err := report.ReadTrace("trace", strings.NewReader(trace.String()))
	if err != nil {
		t.Fatal(err)
	}
	if len(workload.Jobs) != 3 || workload.Jobs[0].Seconds != 2 {
		t.Errorf("the simulator reads %+v from\n%s", workload.Jobs, &trace)
	}
	file := filepath.Join(t.TempDir(), "trace.csv")
	if err := os.WriteFile(file, []byte(trace.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	out, _, err := run(t, "", "simulate", "-trace", file)
	if err != nil || out == "" {
		t.Errorf("simulate: %v\n%s", err, out)
	}

	_, stderr, err := run(
		t, "", "record", server.Addr, "--function", "resize", "--duration", "300ms", "--interval", "100ms", "-f", file,
	)
	if err != nil || stderr != "recorded 0 jobs\n" {
		t.Errorf("record: %v, %s", err, stderr)
	}
	data, err := os.ReadFile(file)
	if err != nil || string(data) != "time_s,function,job_seconds,count\n" {
		t.Errorf("record wrote %q (%v)", data, err)
	}
}

func TestRecordErrors(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		args []string
		want string
	}{
		"no function": {[]string{"record", "h"}, `required flag(s) "function"`},
		"interval": {
			[]string{"record", "h", "--function", "f", "--interval", "1ms"}, "--interval must be at least",
		},
		"short duration": {
			[]string{"record", "h", "--function", "f", "--duration", "1s", "--interval", "2s"}, "must not be shorter",
		},
		"long duration":   {[]string{"record", "h", "--function", "f", "--duration", "1000h"}, "at most 720h"},
		"job time":        {[]string{"record", "h", "--function", "f", "--job-time", "-1s"}, "must not be negative"},
		"no job server":   {[]string{"record", "127.0.0.1:1", "--function", "f"}, "127.0.0.1:1"},
		"simulate what":   {[]string{"simulate"}, "-trace"},
		"simulate a flag": {[]string{"simulate", "-nonsense"}, "nonsense"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, err := run(t, "", tt.args...)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error = %v, want one with %q", err, tt.want)
			}
		})
	}
}

// Jobs leave the queue up to a second before their worker reports it: that does not create jobs.
func TestTracerToldLater(t *testing.T) {
	t.Parallel()
	tr := newTracer([]string{"f"}, 0)
	for i, poll := range []struct {
		total, ok int64
	}{{10, 0}, {4, 2}, {4, 6}, {7, 8}, {7, 8}} {
		report := telemetry.Report{Start: 1, Full: true, Counters: telemetry.Counters{OK: poll.ok}}
		tr.observe(
			time.Duration(i)*time.Second, map[string]backlogOf{"f": {total: poll.total}}, []telemetry.Report{report},
		)
	}
	// 8 ended and 7 of the first 10 and the new ones are left: 5 came.
	if got := tr.jobs(); got != 5 {
		t.Errorf("%d jobs came, want 5: %+v", got, tr.rows)
	}
}
