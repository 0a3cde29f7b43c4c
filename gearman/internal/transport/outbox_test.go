package transport

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/internal/check"
)

func TestMain(m *testing.M) { check.Main(m) }

// TestOutboxCoalesces checks that the writes of many goroutines come out whole, in the order of
// each goroutine, and in fewer writes than there were.
func TestOutboxCoalesces(t *testing.T) {
	t.Parallel()
	near, far := net.Pipe()
	var got []byte
	var reader sync.WaitGroup
	reader.Go(func() { got, _ = io.ReadAll(far) })
	o := NewOutbox("192.0.2.1:4730", near, time.Minute)
	const writers, lines = 8, 200
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range lines {
				line := fmt.Sprintf("%d %d\n", w, i)
				var err error
				switch i % 20 {
				case 7:
					err = o.Stream(
						func(dst []byte) []byte { return append(dst, line[:2]...) }, strings.NewReader(line[2:]),
						int64(len(line)-2),
					)
				case 13:
					err = o.StreamBytes(func(dst []byte) []byte { return append(dst, line[:2]...) }, []byte(line[2:]))
				default:
					err = o.Send(func(dst []byte) []byte { return append(dst, line...) })
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if err := o.Flush(); err != nil {
		t.Error(err)
	}
	_ = near.Close()
	reader.Wait()
	next := make([]int, writers)
	for line := range strings.Lines(string(got)) {
		var w, i int
		if _, err := fmt.Sscanf(line, "%d %d\n", &w, &i); err != nil || i != next[w] {
			t.Fatalf("line %q, want number %d of %d (%v)", line, next[w], w, err)
		}
		next[w]++
	}
	if slices.Min(next) != lines {
		t.Errorf("lines of each: %v, want %d", next, lines)
	}
}

func TestOutboxFailures(t *testing.T) {
	t.Parallel()
	add := func(dst []byte) []byte { return append(dst, "head "...) }
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe() // nobody reads
		o := NewOutbox("192.0.2.1:4730", near, time.Second)
		first := o.Send(add)
		if !errors.Is(first, os.ErrDeadlineExceeded) || !errors.Is(first, o.Err()) {
			t.Errorf("a peer that takes nothing: %v", first)
		}
		for name, err := range map[string]error{ // all later calls fail for the same reason
			"Send": first, "Stage": o.Stage(add), "Flush": o.Flush(),
			"Stream": o.Stream(add, strings.NewReader("x"), 1), "StreamBytes": o.StreamBytes(add, []byte("x")),
		} {
			if err == nil || err.Error() != first.Error() ||
				!strings.HasPrefix(err.Error(), "job server 192.0.2.1:4730: write: ") {
				t.Errorf("%s: %v, want the server and the step", name, err)
			}
		}
		_ = far.Close()
	})
	for name, body := range map[string]io.Reader{
		"too short": strings.NewReader("abc"), "failing": iotest.ErrReader(errors.New("disk")),
	} {
		near, far := net.Pipe()
		var got bytes.Buffer
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = io.Copy(&got, far) })
		o := NewOutbox("192.0.2.1:4730", near, time.Minute)
		if err := o.Stream(add, body, 10); err == nil {
			t.Errorf("%s body: no error", name)
		}
		wg.Wait() // the connection was closed
		_ = far.Close()
	}
}
