package controllers

import (
	"errors"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
)

// TestFailureIsReported: a pool whose reconciles keep failing reports it, whichever step fails, and
// no longer once they succeed.
func TestFailureIsReported(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"list", "apply"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, newPool("p"))
			w.backlogOf("p", 0)
			w.fail[kind] = errors.New("webhook is down")
			fails := func() {
				t.Helper()
				if _, err := w.Reconcile(t.Context(), ctrl.Request{NamespacedName: typesKey("p")}); err == nil ||
					!strings.Contains(err.Error(), "webhook is down") {
					t.Errorf("error %v", err)
				}
			}
			fails()
			if got := w.condition("p", v1alpha1.ConditionReady); got != "missing" {
				t.Errorf("at the first failure Ready is %s", got)
			}
			w.clock.SetTime(w.clock.Now().Add(failingFor))
			fails()
			c := meta.FindStatusCondition(w.pool("p").Status.Conditions, v1alpha1.ConditionReady)
			if c == nil || c.Reason != "Retrying" || !strings.Contains(c.Message, "webhook is down") {
				t.Fatalf("Ready: %+v", c)
			}
			version := w.pool("p").ResourceVersion
			w.clock.SetTime(w.clock.Now().Add(time.Minute))
			w.fail[kind] = errors.New("webhook is down, request 7")
			fails()
			if got := w.pool("p").ResourceVersion; got != version {
				t.Error("the same failure is written again")
			}
			w.fail[kind] = nil
			w.reconcile("p")
			if got := w.condition("p", v1alpha1.ConditionReady); strings.HasSuffix(got, "Retrying") {
				t.Errorf("after the failure Ready is %s", got)
			}
			before := w.pool("p").ResourceVersion
			w.fail[kind] = errors.New("webhook is down")
			if err := w.reportFailure(t.Context(), w.run("p"), errors.New("once more")); err != nil ||
				w.pool("p").ResourceVersion != before {
				t.Errorf("%v; a new run of failures is reported at once", err)
			}
		})
	}
}
