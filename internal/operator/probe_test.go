package operator

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestProbe(t *testing.T) {
	t.Parallel()
	metrics := "# TYPE controller_runtime_x gauge\ncontroller_runtime_x 1\n"
	tests := map[string]struct {
		answers []int // status codes, the last one repeats
		body    string
		https   bool
		want    string // in the error; "" means none
	}{
		"at once":          {answers: []int{200}, body: metrics},
		"at the second go": {answers: []int{503, 200}, body: metrics},
		"by HTTPS":         {answers: []int{503, 401}, https: true},
		"401 by HTTP":      {answers: []int{401}, want: "401"},
		"403 by HTTPS":     {answers: []int{403}, https: true, want: "403"},
		"never":            {answers: []int{503}, body: metrics, want: "503"},
		"somebody else":    {answers: []int{200}, body: "<html>", want: "not with the operator's metrics"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			asked := 0
			start := httptest.NewServer
			if tt.https {
				start = httptest.NewTLSServer
			}
			server := start(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(tt.answers[min(asked, len(tt.answers)-1)])
				asked++
				if _, err := w.Write([]byte(tt.body)); err != nil {
					t.Error(err)
				}
			}))
			t.Cleanup(server.Close)
			limit := 30 * time.Second
			if tt.want != "" {
				limit = 500 * time.Millisecond
			}
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			var out strings.Builder
			err := Probe(ctx, server.URL, &out)
			switch {
			case tt.want == "" && (err != nil || !strings.Contains(out.String(), server.URL)):
				t.Errorf("error = %v, output %q", err, &out)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("error = %v, want one with %q", err, tt.want)
			}
		})
	}
}
