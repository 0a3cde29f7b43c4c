package proto

// AppendOption appends OPTION_REQ (as a request) or OPTION_RES (as a response). The only known
// option is "exceptions".
func AppendOption[O Bytes](dst []byte, d Direction, option O) []byte {
	if d == Response {
		return append1(dst, d, TypeOptionRes, option)
	}
	return append1(dst, d, TypeOptionReq, option)
}
