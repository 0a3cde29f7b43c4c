//go:build unix

package jobserver

import (
	"strings"
	"testing"
)

func TestServersAnswer(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(testing.TB, ...string) *Server{"gearmand": Gearmand, "perl": Perl} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			if err := answers(t.Context(), s.Addr); err != nil {
				t.Fatal(err)
			}
			s.Restart(t)
			if err := answers(t.Context(), s.Addr); err != nil {
				t.Fatal(err)
			}
			s.Stop()
			if err := answers(t.Context(), s.Addr); err == nil {
				t.Error("a stopped server answers")
			}
		})
	}
}

func TestStartFailureTellsTheLog(t *testing.T) {
	t.Parallel()
	s := &Server{
		Addr: "127.0.0.1:1", path: find("/usr/sbin/gearmand", "gearmand"), args: []string{"--no-such-option"},
		log: new(tail),
	}
	if err := s.launch(); err == nil || !strings.Contains(err.Error(), "no-such-option") {
		t.Errorf("error %v, want the server's words", err)
	}
}
