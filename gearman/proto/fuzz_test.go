package proto

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"
)

// FuzzReader reads any bytes as packets and lines, in two ways that must agree. It asserts that the
// result matches the input, and that decoded packets encode to the same bytes.
func FuzzReader(f *testing.F) {
	var all []byte
	for _, wire := range packets() {
		f.Add(wire)
		all = append(all, wire...)
	}
	f.Add(all)
	f.Add([]byte("OK 1.1.20+ds\nstatus\r\n\x00RES\x00\x00\x00\x11\x00\x00\x00\x02hi.\n"))
	f.Add([]byte("\x00REQ\x00\x00\x00\x10\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, in []byte) {
		limits := Limits{Packet: 1 << 16, Line: 1 << 10}
		fast, slow := NewReader(bytes.NewReader(in), limits), NewReader(
			iotest.OneByteReader(bytes.NewReader(in)), limits,
		)
		var wire []byte // the packets and lines read so far, encoded again
		for {
			text, err := fast.IsText()
			textSlow, errSlow := slow.IsText()
			if text != textSlow || !sameError(err, errSlow) {
				t.Fatalf("IsText: %v, %v in one piece, %v, %v by bytes", text, err, textSlow, errSlow)
			}
			if err != nil {
				if !errors.Is(err, io.EOF) {
					t.Fatalf("IsText: %v", err)
				}
				break
			}
			if text {
				line, err := fast.ReadLine()
				lineSlow, errSlow := slow.ReadLine()
				if !sameError(err, errSlow) || !bytes.Equal(line, lineSlow) {
					t.Fatalf("ReadLine: %q, %v in one piece, %q, %v by bytes", line, err, lineSlow, errSlow)
				}
				if err != nil {
					return
				}
				wire = append(wire, line...)
				if bytes.HasPrefix(in[len(wire):], []byte("\r\n")) {
					wire = append(wire, '\r')
				}
				wire = append(wire, '\n')
				continue
			}
			whole := fast.HasPacket()
			p, err := fast.Next()
			pSlow, errSlow := slow.Next()
			if !sameError(err, errSlow) || !bytes.Equal(p.Data, pSlow.Data) || p.Type != pSlow.Type {
				t.Fatalf("Next: %v, %v in one piece, %v, %v by bytes", p, err, pSlow, errSlow)
			}
			if err != nil {
				if whole && errors.Is(err, io.ErrUnexpectedEOF) {
					t.Fatal("HasPacket promised a packet that was cut")
				}
				break
			}
			wire = p.Append(wire)
			checkPacket(t, p)
		}
		if !bytes.HasPrefix(in, wire) {
			t.Fatalf("read %q of %q", wire, in)
		}
	})
}

// FuzzPacket decodes data as every type in turn.
func FuzzPacket(f *testing.F) {
	for typ, wire := range packets() {
		f.Add(uint32(typ), wire[HeaderSize:])
	}
	f.Fuzz(func(t *testing.T, typ uint32, data []byte) {
		if !Type(typ).Known() {
			return
		}
		for _, d := range []Direction{Request, Response} {
			checkPacket(t, Packet{Dir: d, Type: Type(typ), Data: data})
		}
	})
}

// checkPacket asserts the round trip of a packet that decodes.
func checkPacket(t *testing.T, p Packet) {
	t.Helper()
	if !p.Type.SentBy(p.Dir) {
		return
	}
	again, err := reencode(p)
	if err != nil {
		if !errors.Is(err, ErrArguments) && !errors.Is(err, ErrType) {
			t.Fatalf("%s %q: %v has no class", p, p.Data, err)
		}
		return
	}
	// Encoding is canonical and the wire format isn't: numbers lose leading zeros, ERROR gains a
	// separator, a stray NUL is dropped. The encoding must then be stable.
	second, err := NewReader(bytes.NewReader(again), Limits{}).Next()
	if err != nil {
		t.Fatalf("%s %q: own encoding does not parse: %v", p, p.Data, err)
	}
	third, err := reencode(second)
	if err != nil || !bytes.Equal(again, third) {
		t.Fatalf("%s %q: encoded as %q, then as %q (%v)", p, p.Data, again, third, err)
	}
	if numeric(p.Type) {
		return
	}
	if first := p.Append(nil); !bytes.Equal(first, again) {
		t.Fatalf("%s: %q became %q", p, first, again)
	}
}

// numeric reports whether a type has text that is parsed as a number or cut at a NUL.
func numeric(t Type) bool {
	switch t {
	case TypeWorkStatus, TypeStatusRes, TypeStatusResUnique, TypeCanDoTimeout, TypeSubmitJobEpoch, TypeError:
		return true
	}
	return t.NumArgs() == 1 && t != TypeEchoReq && t != TypeEchoRes
}

// FuzzRows parses a line as each kind of row, and asserts that a row that parses contains the same
// values as the line.
func FuzzRows(f *testing.F) {
	for _, line := range []string{
		"alpha\t5\t1\t1", "tab\tname\t0\t0\t1", "f\t1\t2\t3\t4", "H:vm:1\t0\t1\t0", "38 127.0.0.1 my id : f g",
		"6 127.0.0.1 - : ",
		"OK 1.1.20+ds", "OK 2.2.0", "v1.130.1", "ERR UNKNOWN_COMMAND Unknown+server+command", ".", "f\t0\t-1\t0",
		"H:vm:1\tkey\t2",
	} {
		f.Add([]byte(line))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		if row, err := ParseStatusRow(line); err == nil {
			checkRow(t, line, row.Function, 3)
		}
		if row, err := ParsePriorityRow(line); err == nil {
			checkRow(t, line, row.Function, 4)
		}
		if row, err := ParseJobRow(line); err == nil {
			checkRow(t, line, row.Handle, 3)
		}
		if row, err := ParseWorkerRow(line); err == nil {
			if bytes.IndexByte(row.IP, ' ') >= 0 || !bytes.Contains(line, row.ID) {
				t.Fatalf("%q gave %+v", line, row)
			}
			n := 0
			for name := range row.Functions {
				n += len(name) + 1
			}
			if len(row.List()) > 0 && n != len(row.List())+1 {
				t.Fatalf("%q: functions lose bytes of %q", line, row.List())
			}
		}
		if row, err := ParseUniqueRow(line, ParseVersion("OK 2.2.0")); err == nil &&
			string(row.Handle)+"\t"+string(row.Unique) != string(line) {
			t.Fatalf("%q gave %+v", line, row)
		}
		if v := ParseVersion(string(line)); v.Dialect == Unknown && v.AtLeast(0, 0, 0) ||
			!bytes.HasSuffix(line, []byte(v.Text)) {
			t.Fatalf("%q gave %+v", line, v)
		}
		if r, ok := ParseReply(line); ok == (r == Reply{}) {
			t.Fatalf("%q gave %+v, %v", line, r, ok)
		}
	})
}

func checkRow(t *testing.T, line, name []byte, fields int) {
	t.Helper()
	if !bytes.HasPrefix(line, name) || bytes.Count(line[len(name):], []byte{'\t'}) != fields {
		t.Fatalf("%q: name %q", line, name)
	}
}

func sameError(a, b error) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	for _, class := range []error{io.EOF, io.ErrUnexpectedEOF, ErrMagic, ErrType, ErrTooLarge} {
		if errors.Is(a, class) != errors.Is(b, class) {
			return false
		}
	}
	return true
}
