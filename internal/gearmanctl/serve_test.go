package gearmanctl

import (
	"bufio"
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/admin"
)

// served is a running serve command.
type served struct {
	addr  string
	lines *bufio.Reader
	words io.Writer
}

func (s *served) line(t *testing.T) string {
	t.Helper()
	line, err := s.lines.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(line)
}

func startServe(t *testing.T, args ...string) *served {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	in, words := io.Pipe()
	lines, out := io.Pipe()
	cmd := newCommand(streams{in, out, out})
	cmd.SetArgs(append([]string{"serve", "--listen", "127.0.0.1:0"}, args...))
	done := make(chan error, 1)
	go func() { done <- cmd.ExecuteContext(ctx) }()
	t.Cleanup(func() {
		stop()
		_ = words.Close()
		_ = lines.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	s := &served{lines: bufio.NewReader(lines), words: words}
	first := s.line(t)
	if !strings.Contains(first, "for development") {
		t.Errorf("the first line does not say what it is for: %s", first)
	}
	_, rest, _ := strings.Cut(first, "listens on ")
	s.addr, _, _ = strings.Cut(rest, ". ")
	return s
}

func (s *served) ask(t *testing.T) error {
	t.Helper()
	conn, err := admin.Dial(
		t.Context(), s.addr, admin.Options{Timeout: 2 * time.Second, ConnectTimeout: 2 * time.Second},
	)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = conn.Status(t.Context())
	return err
}

func TestServe(t *testing.T) {
	t.Parallel()
	s := startServe(t)
	if err := s.ask(t); err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"garbage", "refuse"} {
		_, _ = io.WriteString(s.words, word+"\n")
		if line := s.line(t); line != "outage: "+outages[word].help {
			t.Errorf("after %s it says %q", word, line)
		}
		if s.ask(t) == nil {
			t.Errorf("the server works while %s is on", word)
		}
	}
	_, _ = io.WriteString(s.words, "heal\n")
	if line := s.line(t); line != "the job server works again" {
		t.Errorf("after heal it says %q", line)
	}
	if err := s.ask(t); err != nil {
		t.Error(err)
	}
	_, _ = io.WriteString(s.words, "dance\n")
	if line := s.line(t); !strings.Contains(line, `there is no outage "dance"`) {
		t.Errorf("after nonsense it says %q", line)
	}
}

func TestServeOutageByTime(t *testing.T) {
	t.Parallel()
	s := startServe(t, "--outage", "refuse", "--after", "10ms", "--for", "50ms")
	if line := s.line(t); !strings.HasPrefix(line, "outage: close all connections") {
		t.Errorf("it says %q", line)
	}
	if line := s.line(t); line != "the job server works again" {
		t.Errorf("it says %q", line)
	}
	if err := s.ask(t); err != nil {
		t.Error(err)
	}
}

func TestServeRefuses(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		args []string
		want string
	}{
		"an address": {[]string{"--listen", "nowhere:x"}, "--listen"},
		"a dialect":  {[]string{"--dialect", "klingon"}, "--dialect must be gearmand, gearmand2 or perl"},
		"an outage":  {[]string{"--outage", "flood"}, "--outage must be one of drop, garbage"},
		"a time":     {[]string{"--after", "-1s"}, "must not be negative"},
		"no length":  {[]string{"--for", "0s"}, "greater than 0"},
		"arguments":  {[]string{"more"}, "unknown command"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := newCommand(streams{strings.NewReader(""), io.Discard, io.Discard})
			cmd.SetArgs(append([]string{"serve"}, tt.args...))
			if err := cmd.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error = %v, want one with %q", err, tt.want)
			}
		})
	}
}
