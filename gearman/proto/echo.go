package proto

// AppendEcho appends ECHO_REQ (as a request) or ECHO_RES (as a response).
func AppendEcho[D Bytes](dst []byte, d Direction, data D) []byte {
	if d == Response {
		return append1(dst, d, TypeEchoRes, data)
	}
	return append1(dst, d, TypeEchoReq, data)
}
