package proto

import "strconv"

// AppendGetStatus appends GET_STATUS.
func AppendGetStatus[H Bytes](dst []byte, handle H) []byte {
	return append1(dst, Request, TypeGetStatus, handle)
}

// AppendGetStatusUnique appends GET_STATUS_UNIQUE.
func AppendGetStatusUnique[U Bytes](dst []byte, unique U) []byte {
	return append1(dst, Request, TypeGetStatusUnique, unique)
}

// AppendStatusRes appends STATUS_RES.
func AppendStatusRes(dst []byte, s Status) []byte {
	mark := len(dst)
	dst = AppendHeader(dst, Response, TypeStatusRes, 0)
	return setSize(appendStatus(dst, s), mark)
}

// AppendStatusResUnique appends STATUS_RES_UNIQUE: the status of the job with a unique key, and how
// many clients wait for it.
func AppendStatusResUnique(dst []byte, s Status) []byte {
	mark := len(dst)
	dst = AppendHeader(dst, Response, TypeStatusResUnique, 0)
	dst = append(appendStatus(dst, s), 0)
	dst = strconv.AppendUint(dst, s.Clients, 10)
	return setSize(dst, mark)
}

func appendStatus(dst []byte, s Status) []byte {
	dst = append(dst, s.Key...)
	dst = append(dst, 0, bit(s.Known), 0, bit(s.Running), 0)
	dst = strconv.AppendUint(dst, s.Numerator, 10)
	dst = append(dst, 0)
	return strconv.AppendUint(dst, s.Denominator, 10)
}

func bit(b bool) byte {
	if b {
		return '1'
	}
	return '0'
}

// Status is the state of a job in STATUS_RES or STATUS_RES_UNIQUE.
type Status struct {
	Key                    []byte // the handle; in STATUS_RES_UNIQUE the unique key
	Known, Running         bool
	Numerator, Denominator uint64
	Clients                uint64 // how many clients wait; STATUS_RES_UNIQUE only
}

// Status decodes STATUS_RES or STATUS_RES_UNIQUE.
func (p Packet) Status() (Status, error) {
	if p.Type != TypeStatusRes && p.Type != TypeStatusResUnique {
		return Status{}, p.errType("a job's status")
	}
	rest, ok := p.Data, true
	s := Status{Key: cut(&rest, &ok)}
	known, running, num := cut(&rest, &ok), cut(&rest, &ok), cut(&rest, &ok)
	den := rest
	if p.Type == TypeStatusResUnique {
		den = cut(&rest, &ok)
	}
	if !ok {
		return Status{}, p.errArgs("too few arguments")
	}
	valid := true
	s.Known = boolean(known, &valid)
	s.Running = boolean(running, &valid)
	s.Numerator, s.Denominator = leadingUint(num), leadingUint(den)
	if p.Type == TypeStatusResUnique {
		s.Clients = number(rest, &valid)
	}
	if !valid {
		return Status{}, p.errArgs("a field is not a number")
	}
	return s, nil
}
