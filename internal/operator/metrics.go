package operator

import (
	"net/http"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

// scrapeWait is how long a scrape waits for the previous one.
const scrapeWait = 5 * time.Second

// metricsOptions are those of the metrics' server. With MetricsSecure it uses TLS, and has the API
// server review who scrapes and whether they may read the path.
func metricsOptions(o *Options) server.Options {
	out := server.Options{
		BindAddress: o.MetricsAddress, SecureServing: o.MetricsSecure, CertDir: o.MetricsCertDir,
		FilterProvider: serially(nil),
	}
	if o.MetricsSecure {
		out.FilterProvider = serially(authenticated)
	}
	return out
}

type filterProvider = func(*rest.Config, *http.Client) (server.Filter, error)

// serially puts a filter before the metrics that admits one request at a time: a scrape takes
// memory for as long as it lasts. A client that may not scrape at all, by auth, delays no other.
func serially(auth filterProvider) filterProvider {
	return func(config *rest.Config, client *http.Client) (server.Filter, error) {
		var authorize server.Filter
		if auth != nil {
			var err error
			if authorize, err = auth(config, client); err != nil {
				return nil, err
			}
		}
		turn := make(chan struct{}, 1)
		return func(log logr.Logger, handler http.Handler) (http.Handler, error) {
			handler = oneAtATime(turn, handler)
			if authorize == nil {
				return handler, nil
			}
			return authorize(log, handler)
		}, nil
	}
}

func oneAtATime(turn chan struct{}, handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		late := time.NewTimer(scrapeWait)
		defer late.Stop()
		select {
		case turn <- struct{}{}:
			defer func() { <-turn }()
			handler.ServeHTTP(w, r)
		case <-late.C:
			http.Error(
				w, "another scrape is still running: scrape less often, or from one place",
				http.StatusServiceUnavailable,
			)
		case <-r.Context().Done():
		}
	})
}
