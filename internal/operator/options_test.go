package operator

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	t.Parallel()
	o, err := Parse("manager", []string{
		"--runtime-image=r:1", "--watch-namespaces=a, b", "--min-poll-seconds=3", "--runtime-rollout=Immediate",
		"--runtime-image-pull-secrets=s",
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a", "b"}, o.Namespaces); diff != "" {
		t.Error(diff)
	}
	if o.MinPoll != 3*time.Second || !o.RolloutRuntimeAtOnce || o.MetricsAddress != ":8080" ||
		o.RuntimePullSecrets[0] != "s" {
		t.Errorf("got %+v", o)
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		args []string
		want string
	}{
		"no runtime image": {nil, "--runtime-image"},
		"pull policy": {
			[]string{"--runtime-image=r", "--runtime-image-pull-policy=Sometimes"}, "must be one of",
		},
		"rollout": {
			[]string{"--runtime-image=r", "--runtime-rollout=Now"}, "--runtime-rollout must be one of",
		},
		"log format": {[]string{"--runtime-image=r", "--log-format=xml"}, "--log-format must be one of"},
		"log level":  {[]string{"--runtime-image=r", "--log-level=loud"}, "--log-level must be one of"},
		"servers of a pool": {
			[]string{"--runtime-image=r", "--max-job-servers-per-pool=0"},
			"--max-job-servers-per-pool must be from 1 to 10000",
		},
		"of a namespace": {
			[]string{"--runtime-image=r", "--max-job-servers-per-namespace=10001"},
			"--max-job-servers-per-namespace must be from 1",
		},
		"foreign functions": {
			[]string{"--runtime-image=r", "--foreign-functions=-1"}, "--foreign-functions must be from 0 to 10000",
		},
		"poll": {
			[]string{"--runtime-image=r", "--min-poll-seconds=0"}, "--min-poll-seconds must be from 1 to 300",
		},
		"job servers": {
			[]string{"--runtime-image=r", "--allowed-job-servers=10.0.0.0/99"}, "--allowed-job-servers",
		},
		"an argument":        {[]string{"--runtime-image=r", "serve"}, `unexpected argument "serve"`},
		"a flag of no sense": {[]string{"--nonsense"}, "nonsense"},
		"no queues":          {[]string{"--runtime-image=r", "--max-queues-per-namespace=0"}, "from 1 to 10000000"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := Parse("manager", tt.args); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error with %q", err, tt.want)
			}
		})
	}
}

// TestRuntimeOfPods: pods get the number of job servers only if it differs from the runtime's
// default.
func TestRuntimeOfPods(t *testing.T) {
	t.Parallel()
	for flag, want := range map[string]int{"--max-job-servers-per-pool=256": 0, "--max-job-servers-per-pool=9": 9} {
		o, err := Parse("manager", []string{"--runtime-image=r", flag})
		if err != nil {
			t.Fatal(err)
		}
		if rt := o.runtime(); rt.MaxServers != want || rt.Image != "r" {
			t.Errorf("%s: %+v", flag, rt)
		}
	}
}
