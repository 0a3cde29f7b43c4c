package apiserver

import (
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

// TestValidation has one row for each rule of the API: what is accepted, and what is refused with which advice.
func TestValidation(t *testing.T) {
	t.Parallel()
	ns := namespace(t)
	const base = "servers: [gearmand]\nfunction: f\nimage: i\n"
	tests := map[string]struct {
		spec string
		want string // part of the refusal; empty: accepted
	}{
		"the least":                     {base, ""},
		"several functions":             {"servers: [gearmand]\nfunctions: [a, b]\nimage: i\n", ""},
		"exec runtime":                  {base + "runtime: {exec: {command: [cat]}}\n", ""},
		"all address forms":             {"servers: ['h', 'h.x:1', '[::1]', '[fe80::1]:65535', '10.0.0.1:4730']\nfunction: f\nimage: i\n", ""},
		"a name with other letters":     {"servers: [h]\nfunction: 'größe/änderung'\nimage: i\n", ""},
		"target":                        {"servers: [h]\nfunction: f\ntargetRef: {kind: Deployment, name: d}\n", ""},
		"manual":                        {base + "scaling: {mode: Manual, manualReplicas: 3}\n", ""},
		"schedule":                      {base + "scaling: {schedules: [{name: day, start: '0 8 * * 1-5', durationSeconds: 3600, timeZone: Europe/Berlin, minReplicas: 2}]}\n", ""},
		"podTemplate with unknown part": {base + "podTemplate: {spec: {nodeSelector: {a: b}}}\n", ""},

		"no function":             {"servers: [h]\nimage: i\n", "set exactly one of function"},
		"both function forms":     {base + "functions: [a]\n", "set exactly one of function"},
		"empty functions":         {"servers: [h]\nfunctions: []\nimage: i\n", "should have at least 1 items"},
		"functions, blank in one": {"servers: [h]\nfunctions: ['a b']\nimage: i\n", "must not contain white space or control characters"},
		"functions, one over 255": {"servers: [h]\nfunctions: ['" + strings.Repeat("é", 128) + "']\nimage: i\n", "must not be longer than 255 bytes"},
		"blank in function":       {"servers: [h]\nfunction: 'a b'\nimage: i\n", "must not contain white space or control characters"},
		"newline in function":     {"servers: [h]\nfunction: \"a\\nb\"\nimage: i\n", "must not contain white space or control characters"},
		"function over 255":       {"servers: [h]\nfunction: '" + strings.Repeat("é", 128) + "'\nimage: i\n", "must not be longer than 255 bytes"},
		"no servers":              {"function: f\nimage: i\n", "spec.servers: Required"},
		"bad server":              {"servers: ['bad host:99999']\nfunction: f\nimage: i\n", "a job server is written host, host:port"},
		"server port":             {"servers: ['h:99999']\nfunction: f\nimage: i\n", "port must be from 1 to 65535"},
		"server port zero":        {"servers: ['h:0']\nfunction: f\nimage: i\n", "port must be from 1 to 65535"},
		"server with scheme":      {"servers: ['tcp://h:1']\nfunction: f\nimage: i\n", "without a scheme"},
		"bare IPv6":               {"servers: ['fe80::1']\nfunction: f\nimage: i\n", "a job server is written"},
		"server twice":            {"servers: [h, h]\nfunction: f\nimage: i\n", "Duplicate value"},
		"no image":                {"servers: [h]\nfunction: f\n", "set exactly one of image"},
		"image and target":        {base + "targetRef: {kind: Deployment, name: d}\n", "set exactly one of image"},
		"target of other kind":    {"servers: [h]\nfunction: f\ntargetRef: {kind: DaemonSet, name: d}\n", "Unsupported value"},
		"target with env":         {"servers: [h]\nfunction: f\ntargetRef: {kind: Deployment, name: d}\nenv: [{name: A, value: b}]\n", "with targetRef the pods belong to the target"},
		"min over max":            {base + "minReplicas: 5\nmaxReplicas: 2\n", "minReplicas must not be greater than maxReplicas"},
		"min over default max":    {base + "minReplicas: 11\n", "minReplicas must not be greater than maxReplicas"},
		"negative min":            {base + "minReplicas: -1\n", "should be greater than or equal to 0"},
		"command with runtime":    {base + "command: [x]\nruntime: {exec: {command: [cat]}}\n", "with runtime the container's command is the operator's"},
		"runtime without mode":    {base + "runtime: {jobTimeoutSeconds: 3}\n", "set exactly one of exec"},
		"maxJobs without stream":  {base + "runtime: {exec: {command: [a]}, maxJobs: 5}\n", "leave it out with exec and http"},
		"two runtime modes":       {base + "runtime: {exec: {command: [a]}, http: {url: 'http://x'}}\n", "set exactly one of exec"},
		"bad url":                 {base + "runtime: {http: {url: 'ftp://x'}}\n", "url must start with"},
		"timeout over drain":      {base + "drainSeconds: 30\nruntime: {exec: {command: [a]}, jobTimeoutSeconds: 30}\n", "must be less than drainSeconds"},
		"manual without count":    {base + "scaling: {mode: Manual}\n", "mode Manual and manualReplicas go together"},
		"count without manual":    {base + "scaling: {manualReplicas: 2}\n", "mode Manual and manualReplicas go together"},
		"unknown mode":            {base + "scaling: {mode: Turbo}\n", "Unsupported value"},
		"fallback without n":      {base + "scaling: {fallback: {afterSeconds: 60, policy: Static}}\n", "need replicas"},
		"hold with n":             {base + "scaling: {fallback: {afterSeconds: 60, policy: Hold, replicas: 2}}\n", "Hold takes none"},
		"schedule sets nothing":   {base + "scaling: {schedules: [{name: a, start: '0 8 * * *', durationSeconds: 60}]}\n", "must set minReplicas, maxReplicas or both"},
		"schedule min over max":   {base + "scaling: {schedules: [{name: a, start: '0 8 * * *', durationSeconds: 60, minReplicas: 3, maxReplicas: 2}]}\n", "must not be greater than its maxReplicas"},
		"zero concurrency":        {base + "concurrency: 0\n", "should be greater than or equal to 1"},
		"zero target wait":        {base + "scaling: {targetWaitSeconds: 0}\n", "should be greater than or equal to 1"},
		"unknown field":           {base + "replicas: 3\n", "unknown field"},
	}
	var refused refusals
	t.Cleanup(func() { refused.everyRule(t) })
	t.Run("choice", func(t *testing.T) {
		t.Parallel()
		refused.add(changedChoice(t))
	})
	t.Run("name", func(t *testing.T) {
		t.Parallel()
		obj := poolFromYAML(t, ns, base)
		obj.SetName(strings.Repeat("n", 64))
		err := k8s.Create(t.Context(), obj, client.DryRunAll)
		if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "use at most 63 characters") {
			t.Errorf("a name of 64 characters: got %v; want a refusal that says what to do", err)
		}
		refused.add(err)
	})
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			obj := poolFromYAML(t, ns, tt.spec)
			err := client.WithFieldValidation(k8s, "Strict").Create(t.Context(), obj, client.DryRunAll)
			refused.add(err)
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case tt.want != "" && err == nil:
				t.Errorf("accepted; want a refusal with %q", tt.want)
			case tt.want != "" && !strings.Contains(err.Error(), tt.want):
				t.Errorf("refused with %v; want it to say %q", err, tt.want)
			case err != nil && !apierrors.IsInvalid(err) && !apierrors.IsBadRequest(err):
				t.Errorf("refused with %v; want Invalid", err)
			}
		})
	}
}

// changedChoice is what the API server says to a pool that changes from a Deployment of its own to a target.
func changedChoice(t *testing.T) error {
	t.Helper()
	obj := poolFromYAML(t, namespace(t), "servers: [h]\nfunction: f\nimage: i\nscaling: {mode: Paused}\n")
	if err := k8s.Create(t.Context(), obj); err != nil {
		t.Fatal(err)
	}
	patch := client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"image":null,"targetRef":{"kind":"Deployment","name":"d"}}}`))
	err := k8s.Patch(t.Context(), obj, patch)
	if err == nil || !strings.Contains(err.Error(), "delete it and create another") {
		t.Errorf("changing image to targetRef: got %v; want a refusal that says what to do", err)
	}
	return err
}

func poolFromYAML(t *testing.T, ns, spec string) *unstructured.Unstructured {
	t.Helper()
	var s map[string]any
	if err := yaml.Unmarshal([]byte(spec), &s); err != nil {
		t.Fatal(err)
	}
	obj := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "gearman.dev/v1alpha1", "kind": "GearmanWorkerPool", "spec": s,
	}}
	obj.SetNamespace(ns)
	obj.SetGenerateName("p-")
	return obj
}
