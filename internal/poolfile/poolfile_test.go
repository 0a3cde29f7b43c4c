package poolfile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gearman-operator/gearman-operator/test/pooldocs"
)

const head = "apiVersion: gearman.dev/v1alpha1\nkind: GearmanWorkerPool\nmetadata: {name: p}\n"

func document(spec string) []byte {
	return []byte(head + "spec:\n  " + strings.ReplaceAll(strings.TrimSpace(spec), "\n", "\n  ") + "\n")
}

// The API server returns the same errors for the same documents, see test/apiserver.
func TestDocuments(t *testing.T) {
	t.Parallel()
	for name, tt := range pooldocs.Documents {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Parse(document(tt.Spec), Options{})
			switch {
			case tt.Want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case tt.Want != "" && err == nil:
				t.Errorf("accepted; want a refusal with %q", tt.Want)
			case tt.Want != "" && !strings.Contains(err.Error(), tt.Want):
				t.Errorf("refused with %v; want it to say %q", err, tt.Want)
			}
		})
	}
}

func TestEveryRuleHasATwin(t *testing.T) {
	t.Parallel()
	s, err := poolSchema()
	if err != nil {
		t.Fatal(err)
	}
	rules := map[string]bool{}
	var walk func(path string, s *schema)
	walk = func(path string, s *schema) {
		for _, r := range s.Rules {
			rules[r.Rule] = true
			if twinOf(r.Rule) == nil {
				t.Errorf("%s: the rule %q has no twin in twins.go", path, r.Rule)
			}
		}
		for name, field := range s.Properties {
			walk(path+"."+name, field)
		}
		if s.Items != nil {
			walk(path+"[]", s.Items)
		}
	}
	walk("", s)
	if len(rules) < 10 {
		t.Errorf("the CRD has %d rules only: were they read?", len(rules))
	}
	for rule := range twins {
		if !rules[rule] {
			t.Errorf("the twin of %q has no rule in the CRD", rule)
		}
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	content, err := Parse([]byte("# a comment\n---\napiVersion: v1\nkind: Service\n---\n"+head+"spec: {servers: [h], function: f, image: i}\n--- # another\n"+
		strings.Replace(
			head, "name: p", "name: q, namespace: jobs", 1,
		)+"spec: {servers: [h], functions: [f], image: i, maxReplicas: 3}\n"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(content.Pools) != 2 || len(content.Skipped) != 1 || content.Skipped[0] != "Service" {
		t.Fatalf("content = %+v, want two pools and a Service", content)
	}
	p, q := content.Pools[0], content.Pools[1]
	if p.Namespace != "default" || p.Spec.MaxReplicas != 10 || p.Spec.Concurrency != 1 {
		t.Errorf(
			"namespace %q, maxReplicas %d, concurrency %d: want the CRD's defaults", p.Namespace, p.Spec.MaxReplicas,
			p.Spec.Concurrency,
		)
	}
	if q.Namespace != "jobs" || q.Spec.MaxReplicas != 3 {
		t.Errorf("namespace %q, maxReplicas %d: want what the file says", q.Namespace, q.Spec.MaxReplicas)
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	with := func(spec string) string { return string(document(spec)) }
	tests := map[string]struct{ text, want string }{
		"a list":          {"- a\n- b\n", "not an object"},
		"no kind":         {"metadata: {name: p}\n", "it has no kind"},
		"another version": {strings.Replace(head, "v1alpha1", "v9", 1), "write gearman.dev/v1alpha1"},
		"no name": {
			strings.Replace(head, "{name: p}", "{}", 1) + "spec: {servers: [h], function: f, image: i}\n",
			"give the pool a name",
		},
		"a bad name": {
			strings.Replace(head, "name: p", "name: A_b", 1) + "spec: {servers: [h], function: f, image: i}\n",
			"lower-case letters",
		},
		"a bad namespace": {
			strings.Replace(
				head, "name: p", "name: p, namespace: a.b", 1,
			) + "spec: {servers: [h], function: f, image: i}\n",
			"metadata.namespace",
		},
		"a long name": {
			strings.Replace(
				head, "name: p", "name: "+strings.Repeat("n", 64), 1,
			) + "spec: {servers: [h], function: f, image: i}\n",
			"use at most 63 characters",
		},
		"no spec":          {head, "spec: Required value"},
		"a key twice":      {with("servers: [h]\nfunction: f\nfunction: g\nimage: i"), "already set"},
		"a text for a n":   {with(pooldocs.Base + "maxReplicas: many"), `the text "many" must be of type integer`},
		"half a replica":   {with(pooldocs.Base + "maxReplicas: 1.5"), "must be of type integer"},
		"a null":           {with(pooldocs.Base + "drainSeconds: null"), "null must be of type integer"},
		"an object":        {with("servers: {a: b}\nfunction: f\nimage: i"), "an object must be of type array"},
		"a list for text":  {with("servers: [h]\nfunction: [f]\nimage: i"), "a list must be of type string"},
		"text for a list":  {with("servers: h\nfunction: f\nimage: i"), "must be of type array"},
		"text for object":  {with(pooldocs.Base + "scaling: fast"), "must be of type object"},
		"a bad quantity":   {with(pooldocs.Base + "resources: {limits: {memory: much}}"), "should match"},
		"a long image":     {with("servers: [h]\nfunction: f\nimage: " + strings.Repeat("i", 2000)), "Too long"},
		"an empty image":   {with("servers: [h]\nfunction: f\nimage: ''"), "at least 1 chars"},
		"env twice":        {with(pooldocs.Base + "env: [{name: A, value: b}, {name: A, value: c}]"), `Duplicate value: "A"`},
		"too many servers": {with("servers: [" + strings.Repeat("h, ", 65) + "]\nfunction: f\nimage: i"), "Too many"},
		"a bad schedule": {
			with(
				pooldocs.Base +
					"scaling: {schedules: [{name: a, start: 'at eight!!', durationSeconds: 60, minReplicas: 1}]}",
			),
			"spec.scaling.schedules",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := Parse([]byte(tt.text), Options{}); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error = %v, want one with %q", err, tt.want)
			}
		})
	}
}

func TestNoImage(t *testing.T) {
	t.Parallel()
	for spec, ok := range map[string]bool{
		"servers: [h]\nfunction: f\nruntime: {exec: {command: [cat]}}":                  true,
		"servers: [h]\nfunction: f\nimage: i\ntargetRef: {kind: Deployment, name: d}\n": false,
	} {
		if _, err := Parse(document(spec), Options{NoImage: true}); (err == nil) != ok {
			t.Errorf("%s: %v", spec, err)
		}
	}
}

func TestRead(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "pool.yaml")
	if _, err := Read(name, Options{}); err == nil {
		t.Error("no error for a file that does not exist")
	}
	if err := os.WriteFile(name, document("servers: [h]\nimage: i"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Read(name, Options{})
	if err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "pool p:") {
		t.Errorf("error = %v, want one that names the file and the pool", err)
	}
}
