package apiserver

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

// The operators of the suite have the rights of config/rbac and no others, and the API server logs
// their requests. When all tests have passed, the used rights are compared with the granted ones,
// both ways: a right that no test uses is unneeded, or belongs to code without a test.

// The users that operators run as: one with the ClusterRole for the cluster, and one bound in one
// namespace, as in a namespaced installation.
const (
	clusterUser    = "system:serviceaccount:gearman-system:gearman-operator"
	namespacedUser = "system:serviceaccount:gearman-system:namespaced"
)

// without has the reasons why the role has a right that the audit log does not show in use.
var without = map[string]string{
	"events.k8s.io/events patch":                       "counts an event that comes again within minutes: whether one does is a matter of time",
	"gearman.dev/gearmanworkerpools/finalizers update": "asked for by the admission plugin OwnerReferencesPermissionEnforcement, which the suite's API server runs, when a Deployment is owned",
	"apps/deployments create":                          "asked for within a patch that creates what it applies, which is logged as the patch",
}

const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  users: ["` + clusterUser + `", "` + namespacedUser + `"]
- level: None
`

// audit returns the flags of an API server that logs the operators' requests to a file in dir.
func audit(dir string) (log string, flags map[string]string, err error) {
	policy := filepath.Join(dir, "audit-policy.yaml")
	if err := os.WriteFile(policy, []byte(auditPolicy), 0o600); err != nil {
		return "", nil, err
	}
	log = filepath.Join(dir, "audit.log")
	return log, map[string]string{
		"audit-policy-file": policy, "audit-log-path": log,
		"enable-admission-plugins": "OwnerReferencesPermissionEnforcement",
	}, nil
}

// grant applies config/rbac, and returns the rules that it gives the operator.
func grant(ctx context.Context, admin client.Client) ([]rbacv1.PolicyRule, error) {
	ns := &unstructured.Unstructured{
		Object: map[string]any{
			"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": "gearman-system"},
		},
	}
	if err := admin.Create(ctx, ns); err != nil {
		return nil, err
	}
	var rules []rbacv1.PolicyRule
	for _, file := range []string{"role.yaml", "role_binding.yaml", "leader_election.yaml"} {
		data, err := os.ReadFile(filepath.Join("..", "..", "config", "rbac", file))
		if err != nil {
			return nil, err
		}
		for document := range strings.SplitSeq(string(data), "\n---\n") {
			u := &unstructured.Unstructured{}
			if err := yaml.Unmarshal([]byte(document), &u.Object); err != nil {
				return nil, fmt.Errorf("%s: %w", file, err)
			}
			if err := admin.Create(ctx, u); err != nil {
				return nil, err
			}
			var role rbacv1.Role // a ClusterRole's rules are the same
			if err := yaml.Unmarshal([]byte(document), &role); err != nil {
				return nil, fmt.Errorf("%s: %w", file, err)
			}
			rules = append(rules, role.Rules...)
		}
	}
	// The chart does the same with watchNamespaces, whose rules are also the ClusterRole's.
	meta := metav1.ObjectMeta{Namespace: soloUpgrade, Name: "gearman-operator"}
	for _, o := range []client.Object{
		&unstructured.Unstructured{
			Object: map[string]any{
				"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": soloUpgrade},
			},
		},
		&rbacv1.RoleBinding{
			ObjectMeta: meta,
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "gearman-operator"},
			Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: namespacedUser}},
		},
	} {
		if err := admin.Create(ctx, o); err != nil {
			return nil, err
		}
	}
	return rules, nil
}

// auditEvent has the checked fields of a line of the audit log.
type auditEvent struct {
	Verb      string
	ObjectRef *struct{ APIGroup, Resource, Subresource, Namespace, Name string }
	User      struct{ Username string }

	Annotations map[string]string
}

func (e *auditEvent) right() string {
	r := e.ObjectRef.APIGroup + "/" + e.ObjectRef.Resource
	if e.ObjectRef.Subresource != "" {
		r += "/" + e.ObjectRef.Subresource
	}
	return r + " " + e.Verb
}

// checkRights compares the audit log with the rules.
func checkRights(log string, rules []rbacv1.PolicyRule) error {
	file, err := os.Open(log)
	if err != nil {
		return err
	}
	defer file.Close()
	used, lacking := map[string]bool{}, map[string]string{}
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e auditEvent
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return fmt.Errorf("audit log: %w", err)
		}
		switch {
		case e.ObjectRef == nil || e.ObjectRef.Resource == "": // discovery, which every user may do
		case e.Annotations["authorization.k8s.io/decision"] == "forbid":
			lacking[e.right()] = fmt.Sprintf(
				"%s %s/%s as %s", e.right(), e.ObjectRef.Namespace, e.ObjectRef.Name, e.User.Username,
			)
		default:
			used[e.right()] = true
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("audit log: %w", err)
	}
	var errs []error
	for _, what := range slices.Sorted(maps.Values(lacking)) {
		errs = append(errs, fmt.Errorf("the operator asked for what config/rbac does not grant: %s", what))
	}
	for _, right := range rights(rules) {
		// A watch begins with the list. If the API server supports it, both are one request;
		// otherwise the watch needs a list before it.
		list, isList := strings.CutSuffix(right, " list")
		if !used[right] && without[right] == "" && (!isList || !used[list+" watch"]) {
			errs = append(
				errs, fmt.Errorf("config/rbac grants what no test of this suite has the operator use: %s", right),
			)
		}
	}
	return errors.Join(errs...)
}

func rights(rules []rbacv1.PolicyRule) []string {
	all := map[string]bool{}
	for _, rule := range rules {
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				for _, verb := range rule.Verbs {
					all[group+"/"+resource+" "+verb] = true
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(all))
}
