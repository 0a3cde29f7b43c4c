package gearmanctl

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/gearman-operator/gearman-operator/gearman/client"
	"github.com/gearman-operator/gearman-operator/gearman/gearmantest"
	"github.com/gearman-operator/gearman-operator/gearman/worker"
)

// startUI starts the command and returns the page's address.
func startUI(t *testing.T, args ...string) string {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	var out logBuffer
	cmd := newCommand(streams{strings.NewReader(""), &out, io.Discard})
	cmd.SetArgs(append([]string{"ui", "--listen", "127.0.0.1:0"}, args...))
	done := make(chan error, 1)
	go func() { done <- cmd.ExecuteContext(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	await(t, "the page's address", func() bool { return strings.HasSuffix(out.String(), "/\n") })
	_, addr, _ := strings.Cut(strings.TrimSpace(out.String()), "http://")
	return "http://" + addr
}

func read(t *testing.T, url string) string {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// The page shows the queues of job servers, which of them is down, and runs a job if that is
// allowed.
func TestUI(t *testing.T) {
	t.Parallel()
	server := gearmantest.NewServer(gearmantest.Options{})
	defer server.Close()
	c, err := client.New(client.Options{Servers: []string{server.Addr()}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Background(t.Context(), &client.Task{Function: "forgotten"}); err != nil {
		t.Fatal(err)
	}
	w, err := worker.New(worker.Options{Servers: []string{server.Addr()}})
	if err != nil {
		t.Fatal(err)
	}
	upper := func(_ context.Context, job *worker.Job) ([]byte, error) {
		return []byte(strings.ToUpper(string(job.Payload()))), nil
	}
	if err := w.Handle(worker.Function{Name: "upper", Handler: upper}); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	defer func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	<-w.Ready()

	page := startUI(t, "--server", server.Addr(), "--server", "127.0.0.1:1", "--ui-actions")
	await(t, "the function", func() bool { return strings.Contains(read(t, page), "forgotten") })
	if body := read(t, page+"servers"); !strings.Contains(body, server.Addr()) ||
		!strings.Contains(body, "Unreachable") {
		t.Errorf("the job servers are not shown:\n%s", body)
	}
	response, err := http.PostForm(
		page+"try", url.Values{"function": {"upper"}, "workload": {"hello"}, "confirm": {"yes"}},
	)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, err := io.ReadAll(response.Body); err != nil || !strings.Contains(string(body), "HELLO") {
		t.Errorf("%v; the job's result is not in\n%s", err, body)
	}
}

func TestUIRefuses(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		args []string
		want string
	}{
		"a server":   {[]string{"--server", "h:x"}, "--server"},
		"an address": {[]string{"--listen", "nowhere:x"}, "listen for the page"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := newCommand(streams{strings.NewReader(""), io.Discard, io.Discard})
			cmd.SetArgs(append([]string{"ui"}, tt.args...))
			if err := cmd.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error = %v, want one with %q", err, tt.want)
			}
		})
	}
}
