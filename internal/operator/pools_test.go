package operator

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gearman-operator/gearman-operator/internal/poolrow"
)

func TestPoolList(t *testing.T) {
	t.Parallel()
	elected := make(chan struct{})
	list := poolList{
		elected: elected,
		rows:    func() []poolrow.Row { return []poolrow.Row{{Namespace: "jobs", Pool: "resize", Queued: 3}} },
	}
	get := func() *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		list.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/pools", http.NoBody))
		return w
	}
	if w := get(); w.Code != http.StatusServiceUnavailable || strings.Contains(w.Body.String(), "resize") {
		t.Errorf("a standby replica answers %d: %s", w.Code, w.Body)
	}
	close(elected)
	if w := get(); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `{"pools":[{"namespace":"jobs","pool":"resize","queued":3,`) {
		t.Errorf("%d: %s", w.Code, w.Body)
	}
}
