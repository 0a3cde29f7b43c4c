package logs

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestLines(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		in   []string
		want []string
	}{
		"lines":                 {[]string{"a\nb\n"}, []string{"a", "b"}},
		"pieces":                {[]string{"a", "b", "\nc", "d\n"}, []string{"ab", "cd"}},
		"an empty line":         {[]string{"a\n\nb\n"}, []string{"a", "", "b"}},
		"Windows line ends":     {[]string{"a\r\nb\r", "\n"}, []string{"a", "b"}},
		"no end":                {[]string{"a\nb"}, []string{"a", "b"}},
		"a long line":           {[]string{"0123456789abcdef\nx\n"}, []string{"01234567", "89abcdef", "x"}},
		"a long line in pieces": {[]string{"01234", "56789", "\n"}, []string{"01234567", "89"}},
		"just full":             {[]string{"01234567", "\n"}, []string{"01234567"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []string
			l := Lines{Max: 8, Line: func(line []byte) { got = append(got, string(line)) }}
			for _, p := range tc.in {
				l.Add([]byte(p))
			}
			l.Flush()
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("lines (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTail(t *testing.T) {
	t.Parallel()
	tail := Tail{Max: 5}
	for _, tc := range []struct {
		in, want string
	}{{"ab", "ab"}, {"cd", "abcd"}, {"ef", "bcdef"}, {"0123456789", "56789"}, {"", "56789"}} {
		tail.Add([]byte(tc.in))
		if got := string(tail.Bytes()); got != tc.want {
			t.Errorf("after %q: %q, want %q", tc.in, got, tc.want)
		}
	}
	tail.Reset()
	if len(tail.Bytes()) != 0 {
		t.Error("not empty after Reset")
	}
}

func text(b *bytes.Buffer, level slog.Level) *slog.TextHandler {
	return slog.NewTextHandler(b, &slog.HandlerOptions{Level: level, ReplaceAttr: func(
		_ []string, a slog.Attr,
	) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}})
}

func TestLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		log := slog.New(text(&b, slog.LevelInfo))
		l := NewLimit(2, 3, time.Now)
		say := func(n int) {
			for range n {
				l.Log(context.Background(), log, slog.LevelInfo, "x")
			}
		}
		say(5)                  // 3 pass
		time.Sleep(time.Second) // 2 more may pass
		say(1)
		time.Sleep(time.Hour)
		say(4)
		l.Log(context.Background(), log, slog.LevelDebug, "not counted")
		l.Flush(context.Background(), log)
		l.Flush(context.Background(), log)
		x, left := "level=INFO msg=x\n", `level=WARN msg="Left out log lines, there were too many" lines=`
		want := strings.Repeat(x, 3) + left + "2\n" + x + strings.Repeat(x, 3) + left + "1\n"
		if diff := cmp.Diff(want, b.String()); diff != "" {
			t.Errorf("log (-want +got):\n%s", diff)
		}
	})
}

func TestHandler(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	log := slog.New(NewHandler(text(&b, slog.LevelInfo), NewLimit(1e-9, 1, time.Now))).With("k", "v").WithGroup("g")
	log.Info("one", "a", 1)
	log.Info("two")
	log.Error("errors pass")
	want := "level=INFO msg=one k=v g.a=1\nlevel=ERROR msg=\"errors pass\" k=v\n"
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
}
