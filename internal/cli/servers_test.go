package cli

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"github.com/gearman-operator/gearman-operator/gearman/gearmantest/jobserver"
	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

// run runs a command as a user of gearmanctl would and returns what it wrote.
func run(t *testing.T, stdin string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, errs bytes.Buffer
	c := &Commands{
		In: strings.NewReader(stdin), Out: &out, ErrOut: &errs, Results: &out, Program: "gearmanctl",
		Server:        "127.0.0.1",
		DefaultServer: "127.0.0.1:1", Targets: DirectTargets, Find: Direct,
	}
	root := &cobra.Command{Use: "gearmanctl", SilenceUsage: true, SilenceErrors: true}
	root.AddCommand(
		c.Status(), c.Jobs(), c.Workers(), c.Version(), c.Submit(), c.Cancel(), c.Drop(), c.Dead(), c.Record(),
		c.Simulate(),
	)
	root.SetArgs(args)
	err = root.ExecuteContext(t.Context())
	return out.String(), errs.String(), err
}

// register opens a connection to a job server that is a worker of a function and never takes a job.
func register(t *testing.T, addr, id, function string) {
	t.Helper()
	nc, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	request := proto.AppendPacket(nil, proto.Request, proto.TypeSetClientID, []byte(id))
	request = proto.AppendPacket(request, proto.Request, proto.TypeCanDo, []byte(function))
	request = proto.AppendEcho(request, proto.Request, "registered")
	if _, err := nc.Write(request); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 12+len("registered"))
	if _, err := io.ReadFull(nc, answer); err != nil {
		t.Fatal(err)
	}
}

// queue puts a background job into a job server.
func queue(t *testing.T, addr, function string) {
	t.Helper()
	nc, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if _, err := nc.Write(
		proto.AppendPacket(nil, proto.Request, proto.TypeSubmitJobBG, []byte(function+"\x00\x00data")),
	); err != nil {
		t.Fatal(err)
	}
	header := make([]byte, 12)
	if _, err := io.ReadFull(nc, header); err != nil {
		t.Fatal(err)
	}
}

func TestServers(t *testing.T) {
	t.Parallel()
	server := jobserver.Gearmand(t)
	register(t, server.Addr, "worker-1", "resize")
	queue(t, server.Addr, "resize")

	out, _, err := run(t, "", "status", server.Addr, "-o", "json")
	if err != nil {
		t.Fatal(err)
	}
	var rows []statusRow
	if err := json.Unmarshal([]byte(out), &rows); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	if diff := cmp.Diff([]statusRow{{server.Addr, "resize", 1, 0, 1, 1}}, rows); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}

	tests := map[string]struct {
		args []string
		want []string
	}{
		"status as a table": {
			[]string{"status", server.Addr}, []string{"SERVER", "QUEUED", server.Addr + "   resize     1"},
		},
		"status, wide":    {[]string{"status", server.Addr, "-o", "wide"}, []string{"TOTAL"}},
		"workers":         {[]string{"workers", server.Addr}, []string{"worker-1", "resize"}},
		"workers as YAML": {[]string{"workers", server.Addr, "-o", "yaml"}, []string{"id: worker-1", "- resize"}},
		"version":         {[]string{"version", server.Addr}, []string{"gearmand", "1."}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, _, err := run(t, "", tt.args...)
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range tt.want {
				if !strings.Contains(out, want) {
					t.Errorf("%q is not in\n%s", want, out)
				}
			}
		})
	}
}

// One job server that is down doesn't hide the others.
func TestOneServerDown(t *testing.T) {
	t.Parallel()
	server := jobserver.Gearmand(t)
	out, _, err := run(t, "", "version", "127.0.0.1:1", server.Addr)
	if err == nil || !strings.Contains(err.Error(), "127.0.0.1:1") {
		t.Errorf("error = %v, want one about 127.0.0.1:1", err)
	}
	if !strings.Contains(out, server.Addr) {
		t.Errorf("the other server's version is missing:\n%s", out)
	}
}

func TestWrongArguments(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		args []string
		want string
	}{
		"a format": {[]string{"status", "h", "-o", "xml"}, "--output must be wide, json or yaml"},
		"a kind":   {[]string{"status", "deploy/x"}, `invalid job server address "deploy/x"`},
		"a port":   {[]string{"status", "x:99999"}, "from 1 to 65535"},
		"a priority": {
			[]string{"submit", "f", "--to", "h", "--priority", "urgent"}, "--priority must be high, normal or low",
		},
		"after, foreground":  {[]string{"submit", "f", "--to", "h", "--after", "1h"}, "--after needs --background"},
		"after, in the past": {[]string{"submit", "f", "--to", "h", "-b", "--after", "-1h"}, "must not be negative"},
		"data twice": {
			[]string{"submit", "f", "--to", "h", "--data", "x", "--file", "y"}, "none of the others can be",
		},
		"a missing file":      {[]string{"submit", "f", "--to", "h", "--file", "/does/not/exist"}, "no such file"},
		"key, no certificate": {[]string{"version", "h", "--tls-key", "k"}, "--tls-key needs --tls-cert"},
		"certificate, no key": {[]string{"version", "h", "--tls-cert", "c"}, "go together"},
		"a missing CA":        {[]string{"version", "h", "--tls-ca", "/does/not/exist"}, "--tls-ca"},
		"a time-out of 0":     {[]string{"version", "h", "--timeout", "0s"}, "--timeout must be greater than 0"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, err := run(t, "", tt.args...)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error = %v, want one with %q", err, tt.want)
			}
		})
	}
}

func TestPrintable(t *testing.T) {
	t.Parallel()
	if got := Printable("a\x1b[2Jb\tc\nd é"); got != "a\uFFFD[2Jb\uFFFDc\uFFFDd é" {
		t.Errorf("printable = %q", got)
	}
}
