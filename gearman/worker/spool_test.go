package worker

import (
	"strings"
	"testing"
)

// TestOwn: a handler may change its payload, and nothing else changes with it.
func TestOwn(t *testing.T) {
	t.Parallel()
	const args = "H:host:1\x00f\x00key\x00"
	for _, payload := range []string{"", "payload", strings.Repeat("p", 1000)} {
		front := []byte(args + payload)
		text, got := own(front, len(args), true)
		if text != args || string(got) != payload || got == nil {
			t.Fatalf("got %q and %q", text, got)
		}
		clear(front) // the buffer is used again
		clear(got)
		_ = append(got[:0], strings.Repeat("x", 2*len(args)+len(payload))...)
		if text != args {
			t.Errorf("the text is %q afterwards", text)
		}
	}
	if text, got := own([]byte(args+"pay"), len(args), false); text != args || got != nil {
		t.Errorf("got %q and %q of an assignment that is not complete", text, got)
	}
}
