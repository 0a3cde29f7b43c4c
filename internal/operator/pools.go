package operator

import (
	"encoding/json"
	"net/http"

	"github.com/gearman-operator/gearman-operator/internal/poolrow"
)

// poolList serves the pools as JSON to `kubectl gearman top`, which need not parse all metrics for
// them. Only the leader has pools; a standby replica answers 503.
type poolList struct {
	elected <-chan struct{}
	rows    func() []poolrow.Row
}

// ServeHTTP answers with a list of rows.
func (p poolList) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	select {
	case <-p.elected:
	default:
		http.Error(w, "this replica is not the leader: ask the others", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string][]poolrow.Row{"pools": p.rows()}) // the client has disconnected
}
