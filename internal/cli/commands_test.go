package cli

import (
	"strings"
	"testing"
)

func TestSplitPort(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		host string
		port int
		err  bool
	}{
		"gearmand":       {host: "gearmand", port: 4730},
		"gearmand:4731":  {host: "gearmand", port: 4731},
		"[::1]":          {host: "::1", port: 4730},
		"[::1]:1":        {host: "::1", port: 1},
		"gearmand:":      {err: true},
		"gearmand:0":     {err: true},
		"gearmand:70000": {err: true},
		"gearmand:port":  {err: true},
		"":               {err: true},
	}
	for address, tt := range tests {
		t.Run(address, func(t *testing.T) {
			t.Parallel()
			host, port, err := SplitPort(address)
			if (err != nil) != tt.err || host != tt.host || port != tt.port {
				t.Errorf("SplitPort = %q, %d, %v", host, port, err)
			}
		})
	}
}

func TestServerNameOf(t *testing.T) {
	t.Parallel()
	for target, want := range map[string]string{
		"gearmand.example.com:4731": "gearmand.example.com", "svc/gearmand": "gearmand",
		"pod/gearmand-0:4731": "gearmand-0", "[::1]": "::1",
	} {
		if got := (&connectOptions{}).serverNameOf(target); got != want {
			t.Errorf("serverNameOf(%s) = %s, want %s", target, got, want)
		}
	}
	if got := (&connectOptions{tlsName: "given"}).serverNameOf("x"); got != "given" {
		t.Errorf("--tls-name is not used: %s", got)
	}
}

func TestTargets(t *testing.T) {
	t.Parallel()
	without, with := &Commands{Targets: "HOW"}, &Commands{DefaultServer: "d"}
	if _, err := without.targets(nil); err == nil || !strings.Contains(err.Error(), "HOW") {
		t.Errorf("error = %v, want one that tells how job servers are named", err)
	}
	for want, c := range map[string]*Commands{"d": with, "a": {DefaultServer: "d"}} {
		named := []string{"a"}
		if want == "d" {
			named = nil
		}
		if got, err := c.targets(named); err != nil || len(got) != 1 || got[0] != want {
			t.Errorf("targets(%v) = %v, %v; want %s", named, got, err, want)
		}
	}
}
