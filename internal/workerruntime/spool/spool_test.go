package spool

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
)

func content(t *testing.T, b *Buffer) string {
	t.Helper()
	mem, file, size := b.Take()
	if file == nil {
		if size != int64(len(mem)) {
			t.Errorf("%d bytes are said to be %d", len(mem), size)
		}
		return string(mem)
	}
	defer file.Close()
	all, err := io.ReadAll(io.NewSectionReader(file, 0, size))
	if err != nil {
		t.Fatal(err)
	}
	return "file:" + string(all)
}

func TestBuffer(t *testing.T) {
	t.Parallel()
	big := strings.Repeat("x", 3<<20)
	for name, tc := range map[string]struct {
		limits Limits
		write  []string
		want   string
		err    error
	}{
		"nothing":       {Limits{Above: 10, Max: 10}, nil, "", nil},
		"in memory":     {Limits{Above: 10, Max: 10}, []string{"abc", "def"}, "abcdef", nil},
		"just":          {Limits{Above: 6, Max: 6}, []string{"abc", "def"}, "abcdef", nil},
		"over the edge": {Limits{Above: 5, Max: 6}, []string{"abc", "def"}, "file:abcdef", nil},
		"at once":       {Limits{Above: 1, Max: 6}, []string{"abcdef"}, "file:abcdef", nil},
		"too large":     {Limits{Above: 5, Max: 5}, []string{"abc", "def"}, "abc", ErrTooLarge},
		"a full disk":   {Limits{Dir: "/proc/self", Above: 1, Max: 10}, []string{"abc"}, "", ErrDisk},
		"large":         {Limits{Above: 4 << 20, Max: 4 << 20}, []string{big}, big, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if tc.limits.Dir == "" {
				tc.limits.Dir = t.TempDir()
			}
			whole := strings.Join(tc.write, "")
			b := Buffer{Limits: tc.limits}
			var err error
			for _, p := range tc.write {
				if err == nil {
					_, err = b.Write([]byte(p))
				}
			}
			if !errors.Is(err, tc.err) {
				t.Fatalf("error %v, want %v", err, tc.err)
			}
			if got := content(t, &b); got != tc.want {
				t.Errorf("%.100q, want %.100q", got, tc.want)
			}
			if tc.err == nil {
				r := strings.NewReader(whole + "rest")
				b := Buffer{Limits: tc.limits}
				if err := b.ReadFull(r, int64(len(whole))); err != nil || r.Len() != 4 {
					t.Errorf("ReadFull: %v, %d bytes left", err, r.Len())
				}
				if got := content(t, &b); got != tc.want {
					t.Errorf("ReadFull: %.100q", got)
				}
				short := Buffer{Limits: tc.limits}
				if err := short.ReadFull(
					strings.NewReader(whole), int64(len(whole))+1,
				); !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, ErrTooLarge) {
					t.Errorf("ReadFull of too little: %v", err)
				}
				short.Discard()
			}
		})
	}
}

func TestNothingIsLeftInTheDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f, err := NewFile(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := io.Copy(f, bytes.NewReader(make([]byte, 1000))); err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("%v, %v", entries, err)
	}
}
