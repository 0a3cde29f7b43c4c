package check

import (
	"fmt"
	"os"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"
)

// Diff returns "" if want and got are deeply equal, and otherwise both, for a test's message. As in
// reflect.DeepEqual, a nil slice or map isn't equal to an empty one.
func Diff(want, got any) string {
	if reflect.DeepEqual(want, got) {
		return ""
	}
	return fmt.Sprintf("  want %s\n   got %s", show(want), show(got))
}

// show is %+v with strings in quotes and bytes as text.
func show(v any) string {
	rv := reflect.ValueOf(v)
	if !rv.IsValid() {
		return "nil"
	}
	switch rv.Kind() {
	case reflect.String:
		return fmt.Sprintf("%q", rv.String())
	case reflect.Slice, reflect.Array:
		if rv.Type().Elem().Kind() == reflect.Uint8 {
			return fmt.Sprintf("%q", v)
		}
		parts := make([]string, rv.Len())
		for i := range parts {
			if e := rv.Index(i); e.CanInterface() {
				parts[i] = show(e.Interface())
			}
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case reflect.Struct:
		var parts []string
		for i := range rv.NumField() {
			if f := rv.Field(i); f.CanInterface() && !f.IsZero() {
				parts = append(parts, rv.Type().Field(i).Name+": "+show(f.Interface()))
			}
		}
		if len(parts) > 0 {
			return "{" + strings.Join(parts, ", ") + "}"
		}
	}
	return fmt.Sprintf("%+v", v)
}

// leakWait is how long goroutines that are about to end may take.
const leakWait = 5 * time.Second

// Main runs a package's tests and fails if goroutines are left over. It doesn't return.
func Main(m *testing.M) {
	code := m.Run()
	if code == 0 {
		if left := Leaks(leakWait); len(left) > 0 {
			fmt.Fprintf(os.Stderr, "%d goroutines are left over:\n\n%s\n", len(left), strings.Join(left, "\n\n"))
			code = 1
		}
	}
	os.Exit(code)
}

// Leaks returns the stacks of all other goroutines that don't end within the given time, except
// those of the runtime and of the testing package.
func Leaks(within time.Duration) []string {
	for deadline := time.Now().Add(within); ; time.Sleep(time.Millisecond) {
		left := others()
		if len(left) == 0 || time.Now().After(deadline) {
			return left
		}
	}
}

func others() []string {
	buf := make([]byte, 64<<10)
	n := runtime.Stack(buf, true)
	for n == len(buf) {
		buf = make([]byte, 2*len(buf))
		n = runtime.Stack(buf, true)
	}
	stacks := strings.Split(strings.TrimSpace(string(buf[:n])), "\n\n")
	var left []string
	for _, s := range stacks[1:] { // the first is the current goroutine
		if !harmless(s) {
			left = append(left, s)
		}
	}
	return left
}

func harmless(stack string) bool {
	for _, f := range []string{
		"testing.(*M).", "testing.RunTests", "testing.(*T).Run(", "testing.tRunner(", "testing.runTests",
		"testing.runFuzz",
		"os/signal.signal_recv", "os/signal.loop", "runtime.ensureSigM", "runtime.ReadTrace",
	} {
		if strings.Contains(stack, f) {
			return true
		}
	}
	return false
}
