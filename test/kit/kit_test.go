package kit

import (
	"crypto/x509"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestBuffer: after many concurrent writes the buffer holds all of them, each in one piece.
func TestBuffer(t *testing.T) {
	t.Parallel()
	var b Buffer
	var writers sync.WaitGroup
	for i := range 10 {
		writers.Go(func() { fmt.Fprintf(&b, "<%d>", i) })
	}
	writers.Wait()
	got := b.String()
	for i := range 10 {
		if !strings.Contains(got, fmt.Sprintf("<%d>", i)) {
			t.Errorf("%q lacks <%d>", got, i)
		}
	}
}

// TestEventually: Eventually returns once the condition holds, and fails with its description if it
// never does.
func TestEventually(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start, failed := time.Now(), &failures{}
		Eventually(failed, "two seconds", func() bool { return time.Since(start) >= 2*time.Second })
		if failed.last != "" || time.Since(start) != 2*time.Second {
			t.Errorf("%q after %v", failed.last, time.Since(start))
		}
		Eventually(failed, "never", func() bool { return false })
		if failed.last != "not within 1m0s: never" {
			t.Errorf("it fails with %q", failed.last)
		}
	})
}

type failures struct{ last string }

func (*failures) Helper()             {}
func (f *failures) Fatal(args ...any) { f.last = fmt.Sprint(args...) }

// TestCertificates: a certificate is valid for its names, from its authority only, and with its
// key.
func TestCertificates(t *testing.T) {
	t.Parallel()
	ca := NewCA(t)
	pair := ca.Issue(t, "jobs.example", "127.0.0.1")
	leaf, err := x509.ParseCertificate(pair.TLS(t).Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"jobs.example", "127.0.0.1"} {
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: ca.Pool(), DNSName: name}); err != nil {
			t.Error(err)
		}
	}
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: NewCA(t).Pool()}); err == nil {
		t.Error("another authority is accepted")
	}
}
