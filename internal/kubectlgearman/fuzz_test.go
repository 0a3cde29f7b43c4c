package kubectlgearman

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/gearman-operator/gearman-operator/internal/cli"
)

// fuzzedCommands are the commands that show what a job server answers.
var fuzzedCommands = [][]string{
	{"status", "--all"},
	{"status", "--all", "-o", "wide"},
	{"status", "--all", "-o", "json"},
	{"status", "--all", "-o", "yaml"},
	{"workers"},
	{"workers", "-o", "json"},
	{"version"},
	{"version", "-o", "json"},
}

// FuzzAnswerAndTerminal: whatever a job server answers to a command, nothing that drives a terminal
// reaches the output, the messages or the error, and JSON stays JSON.
func FuzzAnswerAndTerminal(f *testing.F) {
	f.Add([]byte("resize\t5\t2\t1\n.\n"), byte(0))
	f.Add([]byte("\x1b[2J\x9b2J\xc2\x9b2J\t5\t2\t1\n.\n"), byte(1))
	f.Add([]byte("a\"\\\xe2\x80\xaegnp\t1\t0\t0\nb\xff\t1\t0\t0\n.\n"), byte(2))
	f.Add([]byte("- {x: \xc2\x85\xe2\x80\xa8}\t1\t0\t0\n.\n"), byte(3))
	f.Add([]byte("30 \x1b]0;t\x07 - : \x1bc\x7f\n.\n"), byte(4))
	f.Add([]byte("30 10.0.0.1 \xf3\xa0\x81\x81 : f g\n.\n"), byte(5))
	f.Add([]byte("OK \x1b[31m1.1.20\r\n"), byte(6))
	f.Add([]byte("OK \xf3\xa0\x81\x81\r\n"), byte(7))
	f.Add([]byte("ERR unknown_command \x1b[31mUnknown+server+command\r\n"), byte(7))
	f.Fuzz(func(t *testing.T, answer []byte, which byte) {
		command := fuzzedCommands[int(which)%len(fuzzedCommands)]
		stdout, stderr, err := run(t, "", append(append([]string{}, command...), answerOnce(t, answer))...)
		var message bytes.Buffer
		if err != nil {
			fmt.Fprintln(cli.Sanitized(&message), "error:", err) // as main does
		}
		for what, text := range map[string]string{"output": stdout, "messages": stderr, "error": message.String()} {
			if i := strings.IndexFunc(text, harmful); i >= 0 || !utf8.ValidString(text) {
				t.Errorf("%v: the %s drives a terminal at %d: %q", command, what, i, text)
			}
		}
		if command[len(command)-1] == "json" && stdout != "" && !json.Valid([]byte(stdout)) {
			t.Errorf("%v: no JSON: %q", command, stdout)
		}
	})
}

// harmful is an independent rule for what a terminal acts on.
func harmful(r rune) bool {
	return unicode.IsControl(r) && r != '\n' && r != '\t' || unicode.In(r, unicode.Bidi_Control, unicode.Zl, unicode.Zp)
}

// answerOnce is a fake job server that gives the first line of each connection the same answer and
// closes it; it returns its address.
func answerOnce(t *testing.T, answer []byte) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer conn.Close()
				if _, err := conn.Read(make([]byte, 256)); err != nil {
					return
				}
				_, _ = conn.Write(answer) // the command may have seen enough
			})
		}
	})
	t.Cleanup(func() { _ = l.Close(); wg.Wait() })
	return l.Addr().String()
}
