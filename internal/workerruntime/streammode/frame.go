package streammode

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode/utf8"
)

// Version is the version of the protocol, which both sides name when they meet.
const Version = 1

// maxHeader is the longest header line in bytes; a longer one is garbage.
const maxHeader = 64 << 10

// header is any header line of either side. Bytes says how many raw bytes follow the line.
type header struct {
	Type        string `json:"type"`
	Version     int    `json:"version"`
	ID          uint64 `json:"id"`
	Bytes       int64  `json:"bytes"`
	Numerator   uint64 `json:"numerator"`
	Denominator uint64 `json:"denominator"`
}

// errGarbage is anything on descriptor 4 that isn't the protocol.
var errGarbage = errors.New("the process does not speak the protocol on descriptor 4")

// readHeader reads one header line.
func readHeader(r *bufio.Reader) (header, error) {
	var h header
	line, err := r.ReadSlice('\n')
	if err != nil {
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			return h, fmt.Errorf("%w: a header line is longer than %d bytes", errGarbage, maxHeader)
		case err == io.EOF && len(line) > 0:
			return h, io.ErrUnexpectedEOF
		}
		return h, err
	}
	if err := json.Unmarshal(line, &h); err != nil || h.Type == "" || h.Bytes < 0 {
		return h, fmt.Errorf("%w: got %.100q", errGarbage, line)
	}
	return h, nil
}

// appendJob appends the header line of a job.
func appendJob(dst []byte, id uint64, function, handle, unique string, size int64) []byte {
	dst = append(dst, `{"type":"job","id":`...)
	dst = strconv.AppendUint(dst, id, 10)
	dst = append(dst, `,"function":`...)
	dst = appendString(dst, function)
	dst = append(dst, `,"handle":`...)
	dst = appendString(dst, handle)
	dst = append(dst, `,"unique":`...)
	dst = appendString(dst, unique)
	dst = append(dst, `,"bytes":`...)
	dst = strconv.AppendInt(dst, size, 10)
	return append(dst, "}\n"...)
}

func appendHello(dst []byte) []byte {
	dst = append(dst, `{"type":"hello","version":`...)
	dst = strconv.AppendInt(dst, Version, 10)
	return append(dst, "}\n"...)
}

func appendPing(dst []byte, id uint64) []byte {
	dst = append(dst, `{"type":"ping","id":`...)
	dst = strconv.AppendUint(dst, id, 10)
	return append(dst, "}\n"...)
}

// appendString appends s as a JSON string. Bytes that are no UTF-8 become U+FFFD, since JSON has no way to write them.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r < ' ':
			const hex = "0123456789abcdef"
			dst = append(dst, '\\', 'u', '0', '0', hex[r>>4], hex[r&15])
		default:
			dst = utf8.AppendRune(dst, r)
		}
	}
	return append(dst, '"')
}
