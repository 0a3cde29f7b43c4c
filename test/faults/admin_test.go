package faults

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/admin"
	"github.com/gearman-operator/gearman-operator/gearman/gearmantest"
	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

const address = "192.0.2.1:4730" // of an in-memory server: nothing is ever sent there

// says fails unless err is one of these errors and its text holds all these words.
func says(t *testing.T, err, is error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	if is != nil && !errors.Is(err, is) {
		t.Errorf("error %q is not %q", err, is)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q does not say %q", err, w)
		}
	}
}

func TestAdmin(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		fault gearmantest.Fault
		is    error         // nil: no error at all
		takes time.Duration // the longest time that the call may take
	}{
		"none": {takes: 0},
		"hang": {fault: gearmantest.Fault{Hang: true}, is: os.ErrDeadlineExceeded, takes: 10 * time.Second},
		"late": {fault: gearmantest.Fault{Delay: 9 * time.Second}, takes: 9 * time.Second},
		"too late": {
			fault: gearmantest.Fault{Delay: time.Hour}, is: os.ErrDeadlineExceeded, takes: 10 * time.Second,
		},
		"slow": {fault: gearmantest.Fault{BytesPerSecond: 1000}, takes: 10 * time.Second},
		"too slow": {
			fault: gearmantest.Fault{BytesPerSecond: 3}, is: os.ErrDeadlineExceeded, takes: 10 * time.Second,
		},
		"cut in a row":     {fault: gearmantest.Fault{CutAfter: 14}, is: io.ErrUnexpectedEOF},
		"cut between rows": {fault: gearmantest.Fault{CutAfter: 22}, is: io.ErrUnexpectedEOF},
		"garbage": {
			fault: gearmantest.Fault{Garbage: []byte("HTTP/1.1 400 Bad Request\r\n\r\n")}, is: os.ErrDeadlineExceeded,
			takes: 10 * time.Second,
		},
		"binary garbage": {
			fault: gearmantest.Fault{Garbage: []byte("\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c")},
			is:    proto.ErrMagic,
		},
		"dropped": {fault: gearmantest.Fault{DropOnText: "status"}, is: io.ErrUnexpectedEOF},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := gearmantest.NewServer(gearmantest.InMemory(address))
				defer s.Close()
				s.Submit("resize", "", nil)
				s.Submit("rotate", "", nil)
				a, err := admin.Dial(t.Context(), address, admin.Options{Dialer: s.DialContext})
				if err != nil {
					t.Fatal(err)
				}
				defer a.Close()
				s.SetFault(tc.fault)
				begin := time.Now()
				rows, err := a.Status(t.Context())
				if took := time.Since(begin); took > tc.takes {
					t.Errorf("the answer took %s, want at most %s", took, tc.takes)
				}
				if tc.is == nil {
					if err != nil || len(rows) != 2 {
						t.Fatalf("got %+v, %v; want two rows", rows, err)
					}
					return
				}
				if rows != nil {
					t.Errorf("a broken answer gave rows: %+v", rows)
				}
				says(t, err, tc.is, address, "status")
				s.SetFault(gearmantest.Fault{})
				_, err = a.Status(t.Context())
				// the rest of the broken answer can't be taken for the next one
				says(t, err, admin.ErrClosed, address)
			})
		})
	}
}

func TestAdminRestart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := gearmantest.NewServer(gearmantest.InMemory(address))
		defer s.Close()
		s.Submit("resize", "", nil)
		a, err := admin.Dial(t.Context(), address, admin.Options{Dialer: s.DialContext})
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		s.RestartWithQueue()
		_, err = a.Status(t.Context())
		says(t, err, nil, address, "status")
		b, err := admin.Dial(t.Context(), address, admin.Options{Dialer: s.DialContext})
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		if rows, err := b.Status(t.Context()); err != nil || len(rows) != 1 || rows[0].Total != 1 {
			t.Errorf("after the restart: %+v, %v; want the one job", rows, err)
		}
	})
}

func TestAdminDial(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := gearmantest.NewServer(gearmantest.InMemory(address))
		defer s.Close()
		s.Refuse()
		_, err := admin.Dial(t.Context(), address, admin.Options{Dialer: s.DialContext})
		says(t, err, syscall.ECONNREFUSED, address)
	})
}

func TestAdminCancelled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := gearmantest.NewServer(gearmantest.InMemory(address))
		defer s.Close()
		a, err := admin.Dial(t.Context(), address, admin.Options{Dialer: s.DialContext})
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		s.SetFault(gearmantest.Fault{Hang: true})
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		begin := time.Now()
		_, err = a.Workers(ctx)
		says(t, err, os.ErrDeadlineExceeded, address, "workers")
		if took := time.Since(begin); took != 3*time.Second {
			t.Errorf("took %s, want 3s", took)
		}
	})
}
