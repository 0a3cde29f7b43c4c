package cli

import (
	"fmt"
	"io"
	"os"
	"unicode/utf16"
	"unicode/utf8"
)

// Sanitized returns a writer to out that lets nothing through by which a terminal could be driven:
// control characters but line feed and tab, and what changes the direction of text. They are
// written as \u and four digits, or as two of these, which JSON reads as the same character again.
// Whatever comes from a job server, a pool or a job can be written to it.
func Sanitized(out io.Writer) io.Writer { return &sanitizer{out: out} }

type sanitizer struct {
	out  io.Writer
	rest []byte // the start of a character whose end has not been written yet
}

func (s *sanitizer) Write(p []byte) (int, error) {
	in := append(s.rest, p...)
	out := make([]byte, 0, len(in))
	for len(in) > 0 && utf8.FullRune(in) {
		r, size := utf8.DecodeRune(in)
		switch {
		case r == utf8.RuneError && size == 1:
			out = fmt.Appendf(out, `\x%02x`, in[0])
		case drivesTerminal(r) && r > 0xffff:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		case drivesTerminal(r):
			out = fmt.Appendf(out, `\u%04x`, r)
		default:
			out = append(out, in[:size]...)
		}
		in = in[size:]
	}
	s.rest = append([]byte(nil), in...)
	if _, err := s.out.Write(out); err != nil {
		return 0, err
	}
	return len(p), nil
}

// drivesTerminal reports whether a terminal does something at the character other than to show it.
func drivesTerminal(r rune) bool {
	switch {
	case r == '\n' || r == '\t':
		return false
	case r < 0x20, r >= 0x7f && r <= 0x9f: // C0, DEL, C1
		return true
	case r == 0x061c, r >= 0x200b && r <= 0x200f, r >= 0x202a && r <= 0x202e, r >= 0x2060 &&
		r <= 0x206f: // direction, invisible
		return true
	case r == 0x2028, r == 0x2029, r == 0xfeff, r >= 0xfff9 && r <= 0xfffb, r >= 0xe0000 &&
		r <= 0xe007f: // lines, marks, tags
		return true
	}
	return false
}

// Results returns the writer for the results of jobs: as they are if out is a file or a pipe, and
// sanitized if it is a terminal.
func Results(out io.Writer) io.Writer {
	if f, ok := out.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode()&os.ModeCharDevice == 0 {
			return out
		}
	}
	return Sanitized(out)
}
