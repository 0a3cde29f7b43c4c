//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	eventsv1 "k8s.io/api/events/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/test/cluster"
)

// trouble is how a pool's fault is reported.
type trouble struct {
	condition, reason string
	alert             string // its expression becomes true; empty if the trouble has no alert
	title             string // in the plugin's output
}

// reports waits until every output names the trouble: the condition, a Warning event, the metric,
// the alert's expression, explain and top. The trouble began at since.
func (p pools) reports(name string, since time.Time, x trouble) {
	p.t.Helper()
	if c := p.condition(name, x.condition, "True"); c.Reason != x.reason {
		p.t.Fatalf("condition %s of pool %s has reason %s, want %s", x.condition, name, c.Reason, x.reason)
	}
	p.t.Logf("pool %s: the condition %s is true after %v", name, x.condition, time.Since(since).Round(time.Second))
	eventually(p.t, 5*time.Minute, func(ctx context.Context) error {
		if got := p.warnings(ctx, name); !slices.Contains(got, x.reason) {
			return fmt.Errorf("no Warning event %s about pool %s: %v", x.reason, name, got)
		}
		metrics, err := p.OperatorMetrics(ctx)
		if err != nil {
			return err
		}
		expr := fmt.Sprintf("gearman_pool_condition{type=%q,status=\"True\",reason=%q} == 1", x.condition, x.reason)
		if x.alert != "" {
			expr = alertExpr(p.t, x.alert)
		}
		if !holds(p.t, expr, metrics, p.Namespace, name) {
			return fmt.Errorf("%s is not true of pool %s", expr, name)
		}
		for _, args := range [][]string{{"explain", name}, {"top", "--once"}} {
			out, _, err := plugin(ctx, p.Stage, "", args...)
			if err == nil && !strings.Contains(out, x.title) {
				err = fmt.Errorf("%s lacks %q:\n%s", args[0], x.title, out)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	p.t.Logf("pool %s: everything says so after %v", name, time.Since(since).Round(time.Second))
}

// warnings returns the reasons of the Warning events about a pool.
func (p pools) warnings(ctx context.Context, name string) (reasons []string) {
	var list eventsv1.EventList
	must(p.t, p.Client.List(ctx, &list, client.InNamespace(p.Namespace)))
	for i := range list.Items {
		e := &list.Items[i]
		if about := e.Regarding; e.Type == "Warning" && about.Kind == "GearmanWorkerPool" && about.Name == name {
			reasons = append(reasons, e.Reason)
		}
	}
	return reasons
}

// alertExpr returns the expression of an alert of the chart.
func alertExpr(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(cluster.Root(), "charts", "gearman-operator", "files", "alerts.yaml"))
	must(t, err)
	var file struct {
		Groups []struct {
			Rules []struct{ Alert, Expr string }
		}
	}
	must(t, yaml.Unmarshal(data, &file))
	for _, group := range file.Groups {
		for _, rule := range group.Rules {
			if rule.Alert == name {
				return rule.Expr
			}
		}
	}
	t.Fatalf("there is no alert %s", name)
	return ""
}

var equalToOne = regexp.MustCompile(`^(gearman_pool_\w+)\{([^}]*)\} == 1$`)

// holds reports whether an expression of the form metric{label="value",...} == 1 is true for a
// pool.
func holds(t *testing.T, expr, metrics, namespace, pool string) bool {
	t.Helper()
	m := equalToOne.FindStringSubmatch(expr)
	if m == nil {
		t.Fatalf("the expression %q is not of the form metric{labels} == 1", expr)
	}
	wanted := append(strings.Split(m[2], ","), fmt.Sprintf("namespace=%q", namespace), fmt.Sprintf("pool=%q", pool))
	for line := range strings.Lines(metrics) {
		labels, one := strings.CutSuffix(strings.TrimSpace(line), "} 1")
		if labels, ok := strings.CutPrefix(labels, m[1]+"{"); ok && one {
			has := strings.Split(labels, ",")
			if !slices.ContainsFunc(wanted, func(w string) bool { return !slices.Contains(has, w) }) {
				return true
			}
		}
	}
	return false
}

// TestNothingIsSilent: a pool's fault is reported in a condition, an event, a metric, an alert and
// the plugin's output. The faults are jobs that all fail, and a typo in the schedule of a running
// pool, which continues to scale by the previous spec. A pool on trial reports no fault.
func TestNothingIsSilent(t *testing.T) {
	t.Parallel()
	p := pools{stage(t), t}
	disturb.RLock() // an operator's counts are lost when it ends
	defer disturb.RUnlock()
	ctx := within(t, 10*time.Minute)
	p.apply(ctx, "failing", func(spec map[string]any) {
		spec["runtime"] = map[string]any{
			"exec":    map[string]any{"command": []any{"/bin/sh", "-c", "cat >/dev/null; exit 1"}},
			"onCrash": "Fail",
		}
		spec["minReplicas"] = int64(1)
	})
	p.apply(ctx, "typo", func(map[string]any) {})
	p.apply(ctx, "trial", func(spec map[string]any) { scaling(spec, "mode", "DryRun") })
	p.condition("typo", v1alpha1.ConditionReady, "True")
	p.pods("failing", 1)

	failing := time.Now()
	p.feed("failing")
	must(t, p.SubmitTo(ctx, "trial", jobs("trial", 3, 0)))
	typo := time.Now()
	p.apply(ctx, "typo", func(spec map[string]any) {
		scaling(spec, "schedules", []any{map[string]any{
			"name": "night", "start": "0 25 * * *", "durationSeconds": int64(3600), "minReplicas": int64(1),
		}})
	})
	p.reports("typo", typo, trouble{
		condition: v1alpha1.ConditionStalled, reason: "InvalidScaling", alert: "GearmanPoolStalled",
		title: "A schedule or scaling.behavior is invalid.",
	})
	goesOn := jobs("typo", 1, 0)
	must(t, p.SubmitTo(ctx, "typo", goesOn))
	p.reports("failing", failing, trouble{
		condition: v1alpha1.ConditionJobsFailing, reason: "MostJobsFail", alert: "GearmanJobsFailing",
		title: "Jobs fail.",
	})
	allRanOnce(t, p.Stage, goesOn, 4*time.Minute)
	p.noFault(ctx, "trial")
}

// feed submits jobs of a pool until the test ends, like a busy client.
func (p pools) feed(name string) {
	ctx, stop := context.WithCancel(p.t.Context())
	done := make(chan struct{})
	p.t.Cleanup(func() { stop(); <-done })
	go func() {
		defer close(done)
		for i := 0; ctx.Err() == nil; i++ {
			err := p.SubmitTo(ctx, name, jobs(fmt.Sprintf("%s-%03d", name, i), 4, 0))
			if err != nil && ctx.Err() == nil {
				p.t.Logf("submitting jobs of pool %s: %v", name, err)
			}
			select {
			case <-ctx.Done():
			case <-time.After(2 * time.Second):
			}
		}
	}()
}

// noFault waits until a pool in mode DryRun wants replicas, and asserts that it has none and that
// this is not reported as a fault.
func (p pools) noFault(ctx context.Context, name string) {
	p.t.Helper()
	eventually(p.t, 5*time.Minute, func(ctx context.Context) error {
		pool, err := p.get(ctx, name)
		if err == nil && (pool.Status.DesiredReplicas == 0 || pool.Status.Replicas != 0) {
			err = fmt.Errorf("%d replicas, wants %d", pool.Status.Replicas, pool.Status.DesiredReplicas)
		}
		if err != nil {
			return err
		}
		out, _, err := plugin(ctx, p.Stage, "", "explain", name)
		if err == nil && (strings.Contains(out, "CRITICAL") || strings.Contains(out, "WARNING") ||
			!strings.Contains(out, "INFO: The pool only reports decisions (DryRun).")) {
			err = fmt.Errorf("explain of pool %s, want DryRun and no fault:\n%s", name, out)
		}
		if err != nil {
			return err
		}
		metrics, err := p.OperatorMetrics(ctx)
		if err != nil {
			return err
		}
		mine := fmt.Sprintf(`namespace=%q,pool=%q,`, p.Namespace, name)
		for line := range strings.Lines(metrics) {
			if strings.HasPrefix(line, "gearman_pool_condition{") && strings.Contains(line, mine) &&
				!strings.Contains(line, `reason="DryRun"`) && !strings.Contains(line, `status="True",type="Ready"`) {
				return fmt.Errorf("a fault of pool %s: %s", name, line)
			}
		}
		return nil
	})
	if got := p.warnings(ctx, name); len(got) > 0 {
		p.t.Errorf("Warning events about pool %s: %v", name, got)
	}
}
