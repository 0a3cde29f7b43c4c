package gearmanctl

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/gearman-operator/gearman-operator/internal/page"
)

// jsonHandler serves a snapshot of pools as JSON.
func jsonHandler(snapshot func(context.Context) (page.Snapshot, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, err := snapshot(r.Context())
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		_ = enc.Encode(s) // the client may have disconnected
	})
}
