package operator

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestEntries(t *testing.T) {
	t.Parallel()
	e := entries{
		func() map[string]int { return map[string]int{"pools": 3} },
		func() map[string]int { return map[string]int{"names": 2} },
	}
	w := httptest.NewRecorder()
	e.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/statusz", http.NoBody))
	if got, want := strings.TrimSpace(w.Body.String()), `{"names":2,"pools":3}`; w.Code != http.StatusOK || got != want {
		t.Errorf("got %d %s, want %s", w.Code, got, want)
	}
	want := `
# HELP gearman_operator_entries Entries that the operator keeps in memory, by kind; all are 0 without pools.
# TYPE gearman_operator_entries gauge
gearman_operator_entries{kind="names"} 2
gearman_operator_entries{kind="pools"} 3
`
	if err := testutil.CollectAndCompare(e, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
}
