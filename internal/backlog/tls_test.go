package backlog

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/gearmantest"
	"github.com/gearman-operator/gearman-operator/test/kit"
)

func TestTLS(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ca := kit.NewCA(t) // valid at the time of the bubble's clock
		cert, roots := ca.Issue(t, "jobs.example").TLS(t), ca.Pool()
		m := &memory{}
		srv := m.server(
			t, "10.0.0.1:4730", gearmantest.Options{TLS: &tls.Config{Certificates: []tls.Certificate{cert}}},
		)
		srv.Submit("f", "", nil)
		w := m.watch(t, Options{LookupHost: func(context.Context, string) ([]netip.Addr, error) {
			return []netip.Addr{netip.MustParseAddr("10.0.0.1")}, nil
		}})
		var configs atomic.Int64
		with := func(name string, config *tls.Config, err error) (PoolKey, Subscription) {
			return PoolKey{"ns", name}, Subscription{
				Servers: []string{"jobs.example"}, Functions: []string{"f"},
				TLS: &TLS{
					Identity: name,
					Config:   func(context.Context) (*tls.Config, error) { configs.Add(1); return config, err },
				},
			}
		}
		tests := map[string]struct {
			config *tls.Config
			err    error
			state  State
		}{
			"good":         {&tls.Config{RootCAs: roots}, nil, StateOK},
			"named":        {&tls.Config{RootCAs: roots, ServerName: "jobs.example"}, nil, StateOK},
			"another-name": {&tls.Config{RootCAs: roots, ServerName: "other.example"}, nil, StateTLSFailed},
			"unknown-ca":   {&tls.Config{RootCAs: x509.NewCertPool()}, nil, StateTLSFailed},
			"no-secret":    {nil, errors.New("secret not found"), StateTLSFailed},
		}
		for name, tt := range tests {
			key, sub := with(name, tt.config, tt.err)
			set(t, w, key, sub)
		}
		plain := PoolKey{"ns", "plain"}
		set(t, w, plain, Subscription{Servers: []string{"jobs.example"}, Functions: []string{"f"}})
		time.Sleep(20 * time.Second)
		for name, tt := range tests {
			s := sample(t, w, PoolKey{"ns", name})
			if s.Servers[0].State != tt.state || s.Partial != (tt.state != StateOK) {
				t.Errorf("%s: %+v", name, s)
			}
		}
		if s := sample(t, w, plain); !s.Partial {
			t.Errorf("plain text to a TLS server: %+v", s)
		}
		// The material is read at each connection.
		before := configs.Load()
		srv.CloseConnections()
		time.Sleep(2 * time.Second)
		if configs.Load() == before {
			t.Error("reconnected with the material from before")
		}
	})
}

// A server that speaks plain text, or nothing, to a pool that wants TLS.
func TestTLSHandshakeTimesOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		n.server("10.0.0.1:4730").set(func(s *fakeServer) { s.hang = true })
		w := watch(t, n, Options{})
		set(t, w, poolA, Subscription{
			Servers: []string{"10.0.0.1"}, Functions: []string{"f"},
			TLS: &TLS{
				Identity: "x",
				Config: func(context.Context) (*tls.Config, error) {
					return &tls.Config{MinVersion: tls.VersionTLS12}, nil
				},
			},
		})
		time.Sleep(20 * time.Second)
		if s := sample(t, w, poolA); s.Servers[0].State != StateTLSFailed {
			t.Errorf("%+v", s)
		}
	})
}

func TestClassify(t *testing.T) {
	t.Parallel()
	for want, err := range map[State]error{
		StateUnreachable: errors.New("what nobody thought of"),
		StateClosed:      &net.OpError{Op: "read", Err: net.ErrClosed},
		StateTLSFailed: fmt.Errorf(
			"status: %w", &net.OpError{Op: "remote error", Err: errors.New("tls: certificate required")},
		),
	} {
		if got := classify(err); got != want {
			t.Errorf("%v: %v, want %v", err, got, want)
		}
	}
}

func TestApportion(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		n             int64
		weights, want []int64
	}{
		"nothing to share by": {3, nil, nil},
		"one":                 {3, []int64{7}, []int64{3}},
		"even":                {4, []int64{1, 1}, []int64{2, 2}},
		"largest remainder":   {10, []int64{5, 3, 1}, []int64{6, 3, 1}},
		"no weights":          {5, []int64{0, 0}, []int64{3, 2}},
		"negative counts 0":   {2, []int64{-5, 1}, []int64{0, 2}},
		"nothing to share":    {0, []int64{1, 2}, []int64{0, 0}},
	}
	for name, tt := range tests {
		got := Apportion(tt.n, tt.weights)
		if len(got) != len(tt.want) {
			t.Errorf("%s: %v", name, got)
			continue
		}
		for i := range got {
			if got[i] != tt.want[i] {
				t.Errorf("%s: %v, want %v", name, got, tt.want)
			}
		}
	}
}
