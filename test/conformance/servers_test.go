package conformance

import (
	"context"
	"net"
	"os"
	"strconv"
	"testing"

	"github.com/gearman-operator/gearman-operator/gearman/gearmantest"
	"github.com/gearman-operator/gearman-operator/gearman/gearmantest/jobserver"
	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

// options are the options of a job server that a row may need.
type options struct {
	jobRetries int
	wakeup     int
	roundRobin bool
	exceptions bool
}

// A target is a running job server.
type target struct {
	kind string
	addr string
}

func (t *target) dial(ctx context.Context) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "tcp", t.addr)
}

// A server is a kind of job server; start runs one that ends with the test.
type server struct {
	name    string
	count   string // the start of its counts' names in the line RESULT
	like    string // the server with the same features: rows list that one
	dialect proto.Dialect
	version string // as reported on the wire, for the report
	start   func(tb testing.TB, o options) *target
}

const (
	nameGearmand  = "gearmand"
	nameGearmand2 = "gearmand 2"
	namePerl      = "Gearman::Server"
	nameFake      = "gearmantest"
	nameFake2     = "gearmantest as gearmand 2"
	nameFakePerl  = "gearmantest as Perl's"
)

// gearmand2Env names a gearmand 2 to run the suite on: no distribution that the tests run on has
// one.
const gearmand2Env = "GEARMAND2"

func servers() []*server {
	all := []*server{
		{nameFake, "gearmantest", nameGearmand, proto.Gearmand, "", fake(nameFake, gearmantest.Gearmand)},
		{nameGearmand, "gearmand", nameGearmand, proto.Gearmand, "", startGearmand},
		{nameFake2, "gearmantest_2", nameGearmand2, proto.Gearmand2, "", fake(nameFake2, gearmantest.Gearmand2)},
		{nameFakePerl, "gearmantest_perl", namePerl, proto.Perl, "", fake(nameFakePerl, gearmantest.Perl)},
		{namePerl, "perl", namePerl, proto.Perl, "", startPerl},
	}
	if path := os.Getenv(gearmand2Env); path != "" {
		all = append(all, &server{nameGearmand2, "gearmand_2", nameGearmand2, proto.Gearmand2, "", func(
			tb testing.TB, o options,
		) *target {
			tb.Helper()
			return &target{
				nameGearmand2,
				own(tb, func() *jobserver.Server { return jobserver.GearmandAt(tb, path, gearmandArgs(o)...) }).Addr,
			}
		}})
	}
	return all
}

// fake returns a function that starts gearmantest's server.
func fake(name string, dialect gearmantest.Dialect) func(testing.TB, options) *target {
	return func(tb testing.TB, o options) *target {
		tb.Helper()
		s := gearmantest.NewServer(gearmantest.Options{
			Dialect: dialect, JobRetries: o.jobRetries, WorkerWakeup: o.wakeup, HandlePrefix: "H:test",
			RoundRobin: o.roundRobin, Exceptions: o.exceptions,
		})
		tb.Cleanup(s.Close)
		return &target{name, s.Addr()}
	}
}

func startGearmand(tb testing.TB, o options) *target {
	tb.Helper()
	return &target{
		nameGearmand, own(tb, func() *jobserver.Server { return jobserver.Gearmand(tb, gearmandArgs(o)...) }).Addr,
	}
}

func gearmandArgs(o options) []string {
	args := []string{"--job-handle-prefix=H:test"}
	if o.jobRetries != 0 {
		args = append(args, "--job-retries="+strconv.Itoa(o.jobRetries))
	}
	if o.wakeup != 0 {
		args = append(args, "--worker-wakeup="+strconv.Itoa(o.wakeup))
	}
	if o.roundRobin {
		args = append(args, "--round-robin")
	}
	if o.exceptions {
		args = append(args, "--exceptions")
	}
	return args
}

// startPerl leaves out the options that Perl's server doesn't know, so that the wire shows what it
// does instead.
func startPerl(tb testing.TB, o options) *target {
	tb.Helper()
	var args []string
	if o.wakeup != 0 {
		args = append(args, "--wakeup="+strconv.Itoa(o.wakeup), "--wakeup-delay=-1")
	}
	return &target{namePerl, own(tb, func() *jobserver.Server { return jobserver.Perl(tb, args...) }).Addr}
}
