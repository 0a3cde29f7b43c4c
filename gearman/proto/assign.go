package proto

// AppendJobAssign appends JOB_ASSIGN.
func AppendJobAssign[H, F, D Bytes](dst []byte, handle H, function F, payload D) []byte {
	dst = AppendHeader(dst, Response, TypeJobAssign, sizeOf(len(handle)+len(function)+len(payload)+2))
	dst = append(dst, handle...)
	dst = append(dst, 0)
	dst = append(dst, function...)
	dst = append(dst, 0)
	return append(dst, payload...)
}

// AppendJobAssignUniq appends JOB_ASSIGN_UNIQ.
func AppendJobAssignUniq[H, F, U, D Bytes](dst []byte, handle H, function F, unique U, payload D) []byte {
	dst = AppendHeader(dst, Response, TypeJobAssignUniq, sizeOf(len(handle)+len(function)+len(unique)+len(payload)+3))
	dst = append(dst, handle...)
	dst = append(dst, 0)
	dst = append(dst, function...)
	dst = append(dst, 0)
	dst = append(dst, unique...)
	dst = append(dst, 0)
	return append(dst, payload...)
}

// AppendJobAssignAll appends JOB_ASSIGN_ALL.
func AppendJobAssignAll[H, F, U, R, D Bytes](dst []byte, handle H, function F, unique U, reducer R, payload D) []byte {
	mark := len(dst)
	dst = AppendHeader(dst, Response, TypeJobAssignAll, 0)
	dst = append(dst, handle...)
	dst = append(dst, 0)
	dst = append(dst, function...)
	dst = append(dst, 0)
	dst = append(dst, unique...)
	dst = append(dst, 0)
	dst = append(dst, reducer...)
	dst = append(dst, 0)
	dst = append(dst, payload...)
	return setSize(dst, mark)
}

// Assignment is a job that a job server assigns to a worker.
type Assignment struct {
	Handle   []byte
	Function []byte
	Unique   []byte // not in JOB_ASSIGN
	Reducer  []byte // only in JOB_ASSIGN_ALL
	Payload  []byte
}

// Assignment decodes JOB_ASSIGN, JOB_ASSIGN_UNIQ or JOB_ASSIGN_ALL.
func (p Packet) Assignment() (Assignment, error) {
	rest, ok := p.Data, true
	a := Assignment{}
	switch p.Type {
	case TypeJobAssign:
		a.Handle, a.Function = cut(&rest, &ok), cut(&rest, &ok)
	case TypeJobAssignUniq:
		a.Handle, a.Function, a.Unique = cut(&rest, &ok), cut(&rest, &ok), cut(&rest, &ok)
	case TypeJobAssignAll:
		a.Handle, a.Function, a.Unique, a.Reducer = cut(&rest, &ok), cut(&rest, &ok), cut(&rest, &ok), cut(&rest, &ok)
	default:
		return a, p.errType("a job")
	}
	if !ok {
		return Assignment{}, p.errArgs("too few arguments")
	}
	a.Payload = rest
	return a, nil
}
