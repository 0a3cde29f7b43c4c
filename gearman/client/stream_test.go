package client_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman"
	"github.com/gearman-operator/gearman-operator/gearman/client"
	"github.com/gearman-operator/gearman-operator/gearman/internal/check"
	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

// echoing answers each submission with its payload. If the function is "parts", the payload is sent
// as two parts and the rest; "cut" ends the connection in the middle of the result, "fail" fails
// the job after a part, and "never" isn't answered.
func echoing(s *scripted) {
	for {
		p, ok := s.next()
		if !ok {
			return
		}
		if p.Type == 0 { // the client cancels a job
			s.send([]byte("OK\r\n"))
			continue
		}
		sub, _ := p.Submission()
		data := string(sub.Payload)
		h := s.accept()
		switch string(sub.Function) {
		case "parts":
			s.send(response(proto.TypeWorkData, h, data[:1]))
			s.send(response(proto.TypeWorkData, h, data[1:len(data)-1]))
			data = data[len(data)-1:]
		case "never":
			continue
		case "cut":
			b := response(proto.TypeWorkComplete, h, data)
			s.send(b[:len(b)/2])
			return
		case "fail":
			s.send(response(proto.TypeWorkData, h, data))
			s.send(proto.AppendWorkFail(nil, proto.Response, h))
			continue
		}
		s.send(response(proto.TypeWorkComplete, h, data))
	}
}

// counted counts the bytes that pass through it.
type counted struct {
	w     io.Writer
	pause time.Duration
	n     atomic.Int64
}

func (c *counted) Write(p []byte) (int, error) {
	time.Sleep(c.pause)
	n, err := c.w.Write(p)
	c.n.Add(int64(n))
	return n, err
}

// TestStreams checks that a payload from a reader and a result to a writer are sent without being
// held in memory, whatever their size, and that MaxResult doesn't apply to them.
func TestStreams(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("0123456789abcdef", 3<<16) // 3 MiB
	tests := map[string]struct {
		function, payload string
		want              error
		written           string
	}{
		"small":             {function: "echo", payload: "x", written: "x"},
		"empty":             {function: "echo"},
		"large":             {function: "echo", payload: long, written: long},
		"large, in parts":   {function: "parts", payload: long, written: long},
		"fails after parts": {function: "fail", payload: long, written: long, want: client.ErrFailed},
		"cut":               {function: "cut", payload: long, want: client.ErrDisconnected},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := script(t, client.Options{MaxResult: 1 << 20}, echoing)
				var out bytes.Buffer
				from := iotest.OneByteReader(strings.NewReader(tc.payload))
				if len(tc.payload) > 100 {
					from = strings.NewReader(tc.payload + "more than was announced")
				}
				got, err := c.Do(
					t.Context(),
					&client.Task{
						Function: tc.function, PayloadFrom: from, PayloadSize: int64(len(tc.payload)), ResultTo: &out,
					},
				)
				if !errors.Is(err, tc.want) || (err == nil) != (tc.want == nil) || got != nil {
					t.Errorf("%d bytes, %v, want %v", len(got), err, tc.want)
				}
				if !errors.Is(tc.want, client.ErrDisconnected) && out.String() != tc.written {
					t.Errorf("%d bytes were written, want %d", out.Len(), len(tc.written))
				}
			})
		})
	}
}

// TestStreamedBackground checks that a background job can stream its payload, too, alone and in a
// set.
func TestStreamedBackground(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var got []string
		c := script(t, client.Options{}, func(s *scripted) {
			for p, ok := s.next(); ok; p, ok = s.next() {
				sub, _ := p.Submission()
				got = append(got, string(sub.Payload))
				s.accept()
			}
		})
		if id, err := c.Background(
			t.Context(), &client.Task{Function: "f", PayloadFrom: strings.NewReader("alone"), PayloadSize: 5},
		); err != nil || id.Handle == "" {
			t.Errorf("%v, %v", id, err)
		}
		r, err := c.RunSet(
			t.Context(),
			&client.Task{Function: "f", PayloadFrom: strings.NewReader("in a set"), PayloadSize: 8, Background: true},
		)
		if err != nil || r[0].Err != nil {
			t.Errorf("%v, %v", r, err)
		}
		if diff := check.Diff([]string{"alone", "in a set"}, got); diff != "" {
			t.Error(diff)
		}
	})
}

// TestSlowWriterMakesTheServerWait checks that a slow writer makes the job server wait, and that
// memory doesn't fill.
func TestSlowWriterMakesTheServerWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const size, piece = 20 << 20, 64 << 10
		var sent atomic.Int64
		c := script(t, client.Options{}, func(s *scripted) {
			for _, ok := s.next(); ok; _, ok = s.next() {
				h := s.accept()
				s.send(proto.AppendWorkHeader(nil, proto.Response, proto.TypeWorkComplete, h, size))
				for range size / piece {
					s.send(make([]byte, piece))
					sent.Add(piece)
				}
			}
		})
		out := &counted{w: io.Discard, pause: time.Minute} // longer than ReplyTimeout
		var most int64
		watched := writerFunc(func(p []byte) (int, error) {
			most = max(most, sent.Load()-out.n.Load())
			return out.Write(p)
		})
		if _, err := c.Do(
			t.Context(), &client.Task{Function: "f", ResultTo: watched},
		); err != nil || out.n.Load() != size {
			t.Errorf("%v, %d bytes", err, out.n.Load())
		}
		if most > 4<<20 {
			t.Errorf("%d bytes were held at most, want at most 4 MiB", most)
		}
	})
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// TestWriterFails checks that a writer that fails, and a caller that stops in the middle of a
// result, end their own call and its connection.
func TestWriterFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		full := errors.New("the disk is full")
		c := script(t, client.Options{}, echoing)
		long := bytes.Repeat([]byte("x"), 3<<20)
		other := make(chan error, 1)
		go func() {
			_, err := c.Do(t.Context(), &client.Task{Function: "parts", Payload: []byte("beside it")})
			other <- err
		}()
		_, err := c.Do(
			t.Context(),
			&client.Task{
				Function: "echo", Payload: long, ResultTo: writerFunc(func([]byte) (int, error) { return 0, full }),
			},
		)
		if !errors.Is(err, full) {
			t.Errorf("%v, want %v", err, full)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		_, err = c.Do(ctx, &client.Task{Function: "echo", Payload: long, ResultTo: writerFunc(func(p []byte) (
			int, error,
		) {
			cancel()
			return len(p), nil
		})})
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("%v, want that the caller has left, or the result", err)
		}
		if err := <-other; err != nil {
			t.Errorf("a call beside it: %v", err)
		}
		if got, err := c.Do(
			t.Context(), &client.Task{Function: "echo", Payload: []byte("x")},
		); err != nil || string(got) != "x" {
			t.Errorf("after it: %q, %v", got, err)
		}
	})
}

// TestPayloadFallsShort checks that a payload that is too short fails only its own call: no job
// server has the job, and the end of the connection is not reported as an error.

func TestPayloadFallsShort(t *testing.T) {
	t.Parallel()
	broken := errors.New("the upload was cut")
	tests := map[string]struct {
		from io.Reader
		want error
	}{
		"too short": {strings.NewReader("abc"), io.ErrUnexpectedEOF},
		"fails": {
			io.MultiReader(strings.NewReader(strings.Repeat("x", 600<<10)), iotest.ErrReader(broken)), broken,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var downs []error
				c := script(
					t,
					client.Options{
						Hooks: client.Hooks{ConnDown: func(_ client.Conn, err error) { downs = append(downs, err) }},
					},
					echoing,
				)
				_, err := c.Do(t.Context(), &client.Task{Function: "echo", PayloadFrom: tc.from, PayloadSize: 1 << 20})
				if !errors.Is(err, tc.want) || errors.Is(err, client.ErrUncertain) {
					t.Errorf("%v, want %v and nothing uncertain", err, tc.want)
				}
				if got, err := c.Do(
					t.Context(), &client.Task{Function: "echo", Payload: []byte("x")},
				); err != nil || string(got) != "x" {
					t.Errorf("after it: %q, %v", got, err)
				}
				synctest.Wait()
				if diff := check.Diff([]error{nil}, downs); diff != "" {
					t.Errorf("connections went down:\n%s", diff)
				}
			})
		})
	}
}

// TestSlowPayload checks that a payload may take longer than any timeout for the job server, and
// that a call that ends meanwhile closes it.
func TestSlowPayload(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := script(t, client.Options{}, echoing)
		from, to := io.Pipe()
		go func() {
			for _, s := range []string{"a", "b", "c"} {
				time.Sleep(10 * time.Minute)
				if _, err := io.WriteString(to, s); err != nil {
					t.Error(err)
				}
			}
		}()
		if got, err := c.Do(
			t.Context(), &client.Task{Function: "echo", PayloadFrom: from, PayloadSize: 3},
		); err != nil || string(got) != "abc" {
			t.Errorf("%q, %v", got, err)
		}
		from, to = io.Pipe()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		begin := time.Now()
		_, err := c.Do(ctx, &client.Task{Function: "echo", PayloadFrom: from, PayloadSize: 3})
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != time.Minute {
			t.Errorf("%v after %v, want the deadline after a minute", err, time.Since(begin))
		}
		if _, err := to.Write([]byte("x")); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("write to a payload that nobody reads any more: %v", err)
		}
	})
}

// TestParts checks that Parts yields the data that a job sends while it runs, then its result, then
// its error.
func TestParts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := script(t, client.Options{}, echoing)
		tests := map[string]struct {
			function string
			leave    int
			want     []string
			err      error
		}{
			"all":              {function: "parts", want: []string{"a", "bc", "d"}},
			"no parts":         {function: "echo", want: []string{"abcd"}},
			"left":             {function: "parts", leave: 1, want: []string{"a"}},
			"fails after some": {function: "fail", want: []string{"abcd"}, err: client.ErrFailed},
		}
		for name, tc := range tests {
			var got []string
			var failure error
			for part, err := range c.Parts(t.Context(), &client.Task{Function: tc.function, Payload: []byte("abcd")}) {
				if err != nil {
					failure = err
					continue
				}
				if got = append(got, string(part)); len(got) == tc.leave {
					break
				}
			}
			if diff := check.Diff(tc.want, got); diff != "" || !errors.Is(failure, tc.err) {
				t.Errorf("%s: %v\n%s", name, failure, diff)
			}
		}
	})
}

// TestStreamMistakes checks the errors for invalid streaming options.
func TestStreamMistakes(t *testing.T) {
	t.Parallel()
	c := newClient(t, client.Options{Servers: []string{"192.0.2.1"}})
	from := func() io.Reader { return strings.NewReader("abc") }
	tests := map[string]struct {
		task client.Task
		want string
	}{
		"a size of nothing":   {client.Task{PayloadSize: 3}, "PayloadSize"},
		"below 0":             {client.Task{PayloadFrom: from(), PayloadSize: -1}, "can't carry"},
		"more than a packet":  {client.Task{PayloadFrom: from(), PayloadSize: proto.MaxData}, "can't carry"},
		"parts to two places": {client.Task{ResultTo: io.Discard, OnData: func([]byte) {}}, "either"},
	}
	for name, tc := range tests {
		tc.task.Function = "f"
		if _, err := c.Do(t.Context(), &tc.task); !errors.Is(err, client.ErrTask) ||
			!strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := c.Do(
		t.Context(), &client.Task{Function: "f", Payload: []byte("x"), PayloadFrom: from(), PayloadSize: 3},
	); !errors.Is(err, client.ErrTask) {
		t.Errorf("two payloads: %v", err)
	}
	if _, err := c.Background(
		t.Context(), &client.Task{Function: "f", ResultTo: io.Discard},
	); !errors.Is(err, client.ErrTask) {
		t.Errorf("a result of a background job: %v", err)
	}
	var got error
	c.Produce(
		t.Context(), &client.Task{Function: "f", PayloadFrom: from(), PayloadSize: 3},
		func(_ gearman.JobID, err error) { got = err },
	)
	if !errors.Is(got, client.ErrTask) || !errors.Is(c.Flush(t.Context()), client.ErrTask) {
		t.Errorf("Produce: %v", got)
	}
}
