package telemetry

import "bytes"

// Fields that Parse has met, one bit each.
const (
	gotUID = 1 << iota
	gotStart
	gotBusy
	gotCapacity
	gotFunction
	gotTrouble
	gotPod
	gotCounter // the first counter's bit; those of the others follow
)

// Parse parses an ID without allocating. Fields may be in any order except for the pod's name,
// which is last; unknown fields are skipped, so that the convention can be extended. It fails with
// [ErrForeign] if the ID does not follow the convention, with [ErrMalformed] if a value is missing,
// duplicate, out of bounds, or may have been truncated by the server.
func Parse(id []byte) (Report, error) {
	if len(id) < len(Prefix) || string(id[:len(Prefix)]) != Prefix {
		return Report{}, ErrForeign
	}
	if len(id) > MaxLen {
		return Report{}, ErrMalformed
	}
	whole := len(id)
	var r Report
	counters := r.Counters.table()
	got := 0
	for rest := id[len(Prefix):]; len(rest) > 0; {
		field := rest
		if i := bytes.IndexByte(rest, ';'); i >= 0 {
			field, rest = rest[:i], rest[i+1:]
		} else {
			rest = nil
		}
		if len(field) < 2 || field[1] != '=' || got&gotPod != 0 {
			return Report{}, ErrMalformed
		}
		bit, ok := r.set(&counters, field[0], field[2:])
		if !ok || got&bit != 0 {
			return Report{}, ErrMalformed
		}
		got |= bit
	}
	const ident, slots = gotUID | gotStart, gotBusy | gotCapacity
	if got&ident != ident {
		return Report{}, ErrMalformed
	}
	if got&^ident != 0 && got&slots != slots || r.Busy > r.Capacity {
		return Report{}, ErrMalformed
	}
	if !r.Counters.consistent() {
		return Report{}, ErrMalformed
	}
	if whole == MaxLen && got&gotPod == 0 {
		return Report{}, ErrMalformed
	}
	r.Full = got&slots == slots
	r.HasFunction = got&gotFunction != 0
	return r, nil
}

// set stores one field and returns its bit, none for a field that it doesn't know.
func (r *Report) set(counters *[numCounters]counter, key byte, v []byte) (bit int, ok bool) {
	switch key {
	case 'u':
		ok = len(v) == len(r.UID)
		copy(r.UID[:], v)
		return gotUID, ok && r.UID.valid()
	case 's':
		r.Start, ok = number(v, maxStart)
		return gotStart, ok && r.Start > 0
	case 'b':
		n, ok := number(v, MaxSlots)
		r.Busy = int(n)
		return gotBusy, ok
	case 'c':
		n, ok := number(v, MaxSlots)
		r.Capacity = int(n)
		return gotCapacity, ok && n > 0
	case 'f':
		r.Function, ok = hex32(v)
		return gotFunction, ok
	case 'x':
		if len(v) != 1 || v[0] < 'a' || v[0] > 'z' {
			return gotTrouble, false
		}
		r.Trouble = v[0]
		return gotTrouble, true
	case 'p':
		r.Pod = v
		return gotPod, validPod(v)
	}
	if i := find(counters, key); i >= 0 {
		*counters[i].value, ok = number(v, counters[i].limit)
		return gotCounter << i, ok
	}
	return 0, key >= 'a' && key <= 'z' || key >= 'A' && key <= 'Z'
}

// number parses decimal digits up to limit, which has at most 13 of them: more digits are rejected
// before they could overflow.
func number(v []byte, limit int64) (int64, bool) {
	if len(v) == 0 || len(v) > 13 {
		return 0, false
	}
	var n int64
	for _, c := range v {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, n <= limit
}

func hex32(v []byte) (uint32, bool) {
	if len(v) != 8 {
		return 0, false
	}
	var n uint32
	for _, c := range v {
		switch {
		case c >= '0' && c <= '9':
			n = n<<4 | uint32(c-'0')
		case c >= 'a' && c <= 'f':
			n = n<<4 | uint32(c-'a'+10)
		default:
			return 0, false
		}
	}
	return n, true
}
