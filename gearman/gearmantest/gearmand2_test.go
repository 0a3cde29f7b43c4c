package gearmantest_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/admin"
	"github.com/gearman-operator/gearman-operator/gearman/client"
	"github.com/gearman-operator/gearman-operator/gearman/gearmantest"
	"github.com/gearman-operator/gearman-operator/gearman/internal/check"
	"github.com/gearman-operator/gearman-operator/gearman/proto"
	"github.com/gearman-operator/gearman-operator/gearman/worker"
)

// TestOrderOfDialects checks the order in which one connection gets jobs of several functions and
// priorities, which depends on the dialect.
func TestOrderOfDialects(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		o    gearmantest.Options
		want []string
	}{
		"gearmand": {gearmantest.Options{}, []string{"bH", "bN", "bN", "bL", "aH", "aN", "aN", "aL"}},
		"gearmand --round-robin": {
			gearmantest.Options{RoundRobin: true},
			[]string{"bH", "aH", "bN", "aN", "bN", "aN", "bL", "aL"},
		},
		"gearmand 2": {
			gearmantest.Options{Dialect: gearmantest.Gearmand2},
			[]string{"bH", "aH", "bN", "aN", "bN", "aN", "bL", "aL"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := dial(t, start(t, tt.o))
			for _, f := range []string{"a", "b"} {
				for i, typ := range []proto.Type{
					proto.TypeSubmitJobLowBG, proto.TypeSubmitJobBG, proto.TypeSubmitJobBG, proto.TypeSubmitJobHighBG,
				} {
					c.send(typ, f, "", "LNNH"[i:i+1])
					c.created()
				}
			}
			c.send(proto.TypeCanDo, "a")
			c.send(proto.TypeCanDo, "b")
			if diff := check.Diff(tt.want, c.grabAll()); diff != "" {
				t.Errorf("order (-want +got):\n%s", diff)
			}
		})
	}
}

// TestGlobalPriority checks that gearmand 2 assigns high jobs of any function before normal jobs of
// the function whose turn it is. A function without jobs of that priority keeps its turn.
func TestGlobalPriority(t *testing.T) {
	t.Parallel()
	c := dial(t, start(t, gearmantest.Options{Dialect: gearmantest.Gearmand2}))
	for _, s := range []struct {
		typ  proto.Type
		f, x string
	}{
		{proto.TypeSubmitJobLowBG, "c", "1"},
		{proto.TypeSubmitJobBG, "c", "2"},
		{proto.TypeSubmitJobHighBG, "a", "3"},
		{proto.TypeSubmitJobHighBG, "a", "4"},
		{proto.TypeSubmitJobBG, "b", "5"},
	} {
		c.send(s.typ, s.f, "", s.x)
		c.created()
	}
	for _, f := range []string{"a", "b", "c"} { // polled in the order c, b, a
		c.send(proto.TypeCanDo, f)
	}
	if diff := check.Diff([]string{"a3", "a4", "c2", "b5", "c1"}, c.grabAll()); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}

func (c *conn) created() {
	c.t.Helper()
	if got, err := c.next(); err != nil || !strings.HasPrefix(got, "JOB_CREATED ") {
		c.t.Fatalf("got %q, %v, want JOB_CREATED", got, err)
	}
}

// grabAll takes all jobs, and returns each as its function and payload.
func (c *conn) grabAll() []string {
	c.t.Helper()
	var all []string
	for {
		c.send(proto.TypeGrabJob)
		got, err := c.next()
		if err != nil {
			c.t.Fatal(err)
		}
		words := strings.Split(got, " ") // JOB_ASSIGN handle function data
		if words[0] != "JOB_ASSIGN" {
			if words[0] != "NO_JOB" {
				c.t.Fatalf("got %q to a grab", got)
			}
			return all
		}
		all = append(all, words[2]+words[3])
	}
}

// TestDelayedJobsWake checks that with gearmand 2 a delayed job runs as soon as it is due, without
// another poll of the worker; with gearmand 1 it waits for that poll.
func TestDelayedJobsWake(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		dialect gearmantest.Dialect
		from    time.Duration // after the last job is due
		to      time.Duration
	}{
		"gearmand":   {gearmantest.Gearmand, time.Second, 30 * time.Second},
		"gearmand 2": {gearmantest.Gearmand2, 0, time.Second},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := gearmantest.NewServer(gearmantest.Options{InMemory: true, Dialect: tt.dialect})
				defer s.Close()
				ctx, cancel := context.WithCancel(context.Background())
				// Polling again after 25 s coincides neither with the times at which the jobs
				// become due nor with the times at which the worker is woken for them.
				w, err := worker.New(worker.Options{
					Servers: []string{"192.0.2.1"}, Dialer: s.DialContext, RegrabMin: 25 * time.Second,
					RegrabMax: 25 * time.Second,
				})
				if err != nil {
					t.Fatal(err)
				}
				type run struct {
					data string
					at   time.Time
				}
				runs := make(chan run, 3)
				if err := w.Handle(worker.Function{Name: "f", Handler: func(
					_ context.Context, job *worker.Job,
				) ([]byte, error) {
					runs <- run{string(job.Payload()), time.Now()}
					return nil, nil
				}}); err != nil {
					t.Fatal(err)
				}
				ended := make(chan error, 1)
				go func() { ended <- w.Run(ctx) }()
				<-w.Ready()
				c, err := client.New(client.Options{Servers: []string{"192.0.2.1"}, Dialer: s.DialContext})
				if err != nil {
					t.Fatal(err)
				}
				begin := time.Now()
				for _, d := range []time.Duration{60, 20, 40} {
					at := begin.Add(d * time.Second)
					if _, err := c.Background(
						ctx, &client.Task{Function: "f", Payload: []byte(at.Format(time.RFC3339)), At: at},
					); err != nil {
						t.Fatal(err)
					}
				}
				for _, d := range []time.Duration{20, 40, 60} {
					due := begin.Add(d * time.Second)
					got := <-runs
					if got.data != due.Format(time.RFC3339) {
						t.Errorf("%s came where %s was due", got.data, due)
					}
					if late := got.at.Sub(due); d == 60 && (late < tt.from || late > tt.to) {
						t.Errorf("the last job ran %v after it was due, want %v to %v", late, tt.from, tt.to)
					}
				}
				cancel()
				if err := <-ended; err != nil {
					t.Error(err)
				}
				if err := c.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestDelayedJobsHide checks that a delayed job hides jobs of lower priority from workers on
// gearmand 1, and not on gearmand 2. Two functions with only delayed jobs get a response here;
// according to its source, gearmand 2.0.0 never responds to them.
func TestDelayedJobsHide(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		dialect gearmantest.Dialect
		want    []string
	}{
		"gearmand":   {gearmantest.Gearmand, nil},
		"gearmand 2": {gearmantest.Gearmand2, []string{"gL", "fL"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := dial(
				t,
				start(
					t, gearmantest.Options{
						Dialect: tt.dialect, Clock: func() time.Time { return time.Unix(100, 0) },
					},
				),
			)
			for _, f := range []string{"f", "g"} {
				c.send(proto.TypeCanDo, f)
				c.send(proto.TypeSubmitJobEpoch, f, "", "1000", "later")
				c.send(proto.TypeSubmitJobLowBG, f, "", "L")
				for range 2 {
					c.created()
				}
			}
			if diff := check.Diff(tt.want, c.grabAll()); diff != "" {
				t.Errorf("jobs (-want +got):\n%s", diff)
			}
		})
	}
}

// TestUniqueJobsOfVersions checks that the admin package reads both formats of "show unique jobs",
// depending on the version that the server reports.
func TestUniqueJobsOfVersions(t *testing.T) {
	t.Parallel()
	for version, want := range map[string][]admin.UniqueJob{
		"1.1.20+ds":  {{Unique: "a key\twith a tab"}, {}},
		"2.0.0":      {{Unique: "a key\twith a tab"}, {}},
		"2.1.0":      {{Unique: "a key\twith a tab"}, {}},
		"2.2.0":      {{Handle: "H:gearmantest:1", Unique: "a key\twith a tab"}, {Handle: "H:gearmantest:2"}},
		"2.10.0+ds1": {{Handle: "H:gearmantest:1", Unique: "a key\twith a tab"}, {Handle: "H:gearmantest:2"}},
	} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			s := start(t, gearmantest.Options{Dialect: gearmantest.Gearmand2, Version: version})
			s.Submit("f", "a key\twith a tab", nil)
			s.Submit("f", "", nil)
			c, err := admin.Dial(t.Context(), s.Addr(), admin.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			for range 2 { // the version is requested once
				got, err := c.UniqueJobs(t.Context())
				if diff := check.Diff(want, got); diff != "" || err != nil {
					t.Errorf("error %v (-want +got):\n%s", err, diff)
				}
			}
			if n := s.Stats().Commands["version"]; n != 1 {
				t.Errorf("the version was asked for %d times, want once", n)
			}
			v, err := c.Version(t.Context())
			if wantDialect := version[0] == '2'; err != nil || (v.Dialect == proto.Gearmand2) != wantDialect ||
				v.Text != version {
				t.Errorf("version %+v, %v", v, err)
			}
		})
	}
}

func TestDialectsTellTheirVersions(t *testing.T) {
	t.Parallel()
	for d, want := range map[gearmantest.Dialect]struct {
		text    string
		dialect proto.Dialect
	}{
		gearmantest.Gearmand:  {gearmantest.Version, proto.Gearmand},
		gearmantest.Gearmand2: {gearmantest.Gearmand2Version, proto.Gearmand2},
		gearmantest.Perl:      {gearmantest.PerlVersion, proto.Perl},
	} {
		s := start(t, gearmantest.Options{Dialect: d})
		c, err := admin.Dial(t.Context(), s.Addr(), admin.Options{})
		if err != nil {
			t.Fatal(err)
		}
		v, err := c.Version(t.Context())
		if err != nil || v.Text != want.text || v.Dialect != want.dialect {
			t.Errorf("dialect %d: %+v, %v, want %+v", d, v, err, want)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	if versions := []string{
		gearmantest.Version, gearmantest.Gearmand2Version, gearmantest.PerlVersion,
	}; len(slices.Compact(slices.Sorted(slices.Values(versions)))) != 3 {
		t.Error("versions are not told apart")
	}
}
