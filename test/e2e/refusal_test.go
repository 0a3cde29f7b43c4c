//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/test/cluster"
)

// TestRefusals: a pool that can't work is refused when it is applied, with a message that says what
// to change.
func TestRefusals(t *testing.T) {
	t.Parallel()
	s := bare(t)
	for name, tc := range map[string]struct {
		edit func(spec map[string]any)
		want []string
	}{
		"min above max": {
			edit: func(spec map[string]any) { spec["minReplicas"], spec["maxReplicas"] = int64(5), int64(2) },
			want: []string{"minReplicas", "maxReplicas"},
		},
		"no function": {edit: func(spec map[string]any) { delete(spec, "function") }, want: []string{"function"}},
		"both functions": {
			edit: func(spec map[string]any) { spec["functions"] = []any{"a"} }, want: []string{"function"},
		},
		"bad job server": {
			edit: func(spec map[string]any) { spec["servers"] = []any{"bad host:99999"} },
			want: []string{"servers", "host"},
		},
		"port too large": {
			edit: func(spec map[string]any) { spec["servers"] = []any{"host:99999"} }, want: []string{"port"},
		},
		"no job server": {edit: func(spec map[string]any) { spec["servers"] = []any{} }, want: []string{"servers"}},
		"job over drain": {
			edit: func(spec map[string]any) { spec["drainSeconds"] = int64(30) },
			want: []string{"jobTimeoutSeconds", "drainSeconds"},
		},
		"args of runtime": {
			edit: func(spec map[string]any) { spec["args"] = []any{"x"} }, want: []string{"args", "runtime"},
		},
		"mode without its number": {
			edit: func(spec map[string]any) { scaling(spec, "mode", "Manual") },
			want: []string{"manualReplicas"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := s.ApplyPool(within(t, time.Minute), tc.edit)
			if err == nil {
				t.Fatal("it was accepted")
			}
			t.Log(err)
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the message does not speak of %s: %v", want, err)
				}
			}
		})
	}
}

// TestUserWithoutRights: a user who may write pools but not create pods is refused, and so is one
// who may not scale anything. A pool gives nobody more rights than they have.
func TestUserWithoutRights(t *testing.T) {
	t.Parallel()
	s := bare(t)
	ctx := within(t, 3*time.Minute)
	const user = "e2e-poor-user"
	may := func(rules ...rbacv1.PolicyRule) {
		meta := metav1.ObjectMeta{Namespace: s.Namespace, Name: user}
		must(t, client.IgnoreNotFound(live.Client.Delete(ctx, &rbacv1.Role{ObjectMeta: meta})))
		must(t, live.Client.Create(ctx, &rbacv1.Role{ObjectMeta: meta, Rules: append(rules, rbacv1.PolicyRule{
			APIGroups: []string{"gearman.dev"}, Resources: []string{"gearmanworkerpools"}, Verbs: []string{"*"},
		})}))
	}
	may()
	must(t, live.Client.Create(ctx, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: user},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: user},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}},
	}))
	asUser, err := live.As(user)
	must(t, err)
	poor := &cluster.Stage{Cluster: asUser, Namespace: s.Namespace}
	refused := func(want string, edit func(map[string]any)) {
		t.Helper()
		// Until the API server knows the role, it refuses for another reason.
		eventually(t, time.Minute, func(ctx context.Context) error {
			if err := poor.ApplyPool(ctx, edit); err == nil || !strings.Contains(err.Error(), want) {
				return fmt.Errorf("got %w, want a refusal with %q", err, want)
			}
			return nil
		})
	}
	refused("needs the right to create pods in namespace "+s.Namespace, nil)
	refused("needs the right to update deployments/scale of somebody", func(spec map[string]any) {
		for _, field := range []string{"image", "runtime", "envFrom", "resources"} {
			delete(spec, field)
		}
		spec["targetRef"] = map[string]any{"kind": "Deployment", "name": "somebody"}
	})
	may(rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"create"}})
	eventually(t, time.Minute, func(ctx context.Context) error { return poor.ApplyPool(ctx, nil) })
}

// TestForbiddenJobServer: a job server's address that no pool may use is never dialed, and the pool
// reports it.
func TestForbiddenJobServer(t *testing.T) {
	t.Parallel()
	s := bare(t)
	ctx := within(t, 3*time.Minute)
	must(
		t,
		s.ApplyPool(ctx, func(spec map[string]any) { spec["servers"] = []any{"127.0.0.1:4730", "169.254.169.254:80"} }),
	)
	if reason := condition(
		t, s, v1alpha1.ConditionJobServersReachable, "False", 2*time.Minute,
	); reason != "NoneAnswers" {
		t.Errorf("reason %s, want NoneAnswers", reason)
	}
	p, err := s.Pool(ctx)
	must(t, err)
	for _, server := range p.Status.Servers {
		if server.State != "NotAllowed" {
			t.Errorf("job server %s: %s, want NotAllowed", server.Address, server.State)
		}
	}
	message := meta.FindStatusCondition(p.Status.Conditions, v1alpha1.ConditionReady).Message
	if !strings.Contains(message, "169.254.169.254:80: NotAllowed") {
		t.Errorf("Ready says %q: it does not name the address and why", message)
	}
}

// bare returns a namespace with nothing in it.
func bare(t *testing.T) *cluster.Stage {
	t.Helper()
	name := "e2e-" + strings.ToLower(strings.TrimPrefix(t.Name(), "Test"))
	must(t, live.MakeNamespace(within(t, time.Minute), name))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		if err := live.ClearNamespace(ctx, name); err != nil {
			t.Error(err)
		}
	})
	return &cluster.Stage{Cluster: live, Namespace: name}
}
