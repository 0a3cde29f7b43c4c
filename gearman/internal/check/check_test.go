package check

import (
	"strings"
	"testing"
	"time"
)

func TestMain(m *testing.M) { Main(m) }

func TestDiff(t *testing.T) {
	t.Parallel()
	type row struct {
		Name string
		Keys [][]byte
		n    int
	}
	tests := map[string]struct {
		want, got any
		says      []string // empty: they are equal
	}{
		"equal":         {want: []row{{Name: "a", n: 1}}, got: []row{{Name: "a", n: 1}}},
		"a field":       {want: row{Name: "a"}, got: row{Name: "b"}, says: []string{`want {Name: "a"}`, `got {Name: "b"}`}},
		"bytes":         {want: row{Keys: [][]byte{[]byte("k\x00")}}, got: row{}, says: []string{`{Keys: ["k\x00"]}`}},
		"unexported":    {want: row{n: 1}, got: row{n: 2}, says: []string{"n:1", "n:2"}},
		"nil and empty": {want: []string{}, got: []string(nil), says: []string{"want []"}},
		"types":         {want: 1, got: nil, says: []string{"want 1", "got nil"}},
	}
	for name, tt := range tests {
		diff := Diff(tt.want, tt.got)
		if (diff == "") != (tt.says == nil) {
			t.Errorf("%s: %q", name, diff)
		}
		for _, s := range tt.says {
			if !strings.Contains(diff, s) {
				t.Errorf("%s: %q does not say %q", name, diff, s)
			}
		}
	}
}

// TestLeaks runs alone: goroutines of parallel tests would be leaks, too.
func TestLeaks(t *testing.T) {
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		<-end
	}()
	if left := Leaks(10 * time.Millisecond); len(left) != 1 || !strings.Contains(left[0], "TestLeaks") {
		t.Errorf("left over: %q, want the goroutine of this test", left)
	}
	close(end)
	<-ended
	if left := Leaks(leakWait); len(left) > 0 {
		t.Errorf("left over: %q", left)
	}
}
