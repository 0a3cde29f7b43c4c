package frame

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode/utf8"

	"github.com/gearman-operator/gearman-operator/internal/workerruntime/job"
)

// Version is the version of the protocol. Both sides send it first.
const Version = 1

// MaxHeader is the longest header line in bytes. A longer line is not valid.
const MaxHeader = 64 << 10

// Header is any header line of either side. Bytes is how many raw bytes follow the line.
type Header struct {
	Type        string `json:"type"`
	Version     int    `json:"version"`
	ID          uint64 `json:"id"`
	Bytes       int64  `json:"bytes"`
	Numerator   uint64 `json:"numerator"`
	Denominator uint64 `json:"denominator"`
	Permanent   bool   `json:"permanent"` // of a fail: no further attempt would succeed
}

// ErrGarbage is returned for anything that isn't the protocol.
var ErrGarbage = errors.New("the message doesn't follow the protocol")

// ReadHeader reads one header line.
func ReadHeader(r *bufio.Reader) (Header, error) {
	var h Header
	line, err := r.ReadSlice('\n')
	if err != nil {
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			return h, fmt.Errorf("%w: a header line is longer than %d bytes", ErrGarbage, MaxHeader)
		case err == io.EOF && len(line) > 0:
			return h, io.ErrUnexpectedEOF
		}
		return h, err
	}
	if err := json.Unmarshal(line, &h); err != nil || h.Type == "" || h.Bytes < 0 {
		return h, fmt.Errorf("%w: got %.100q", ErrGarbage, line)
	}
	return h, nil
}

// AppendJob appends the header line of a job.
func AppendJob(dst []byte, id uint64, j *job.Job) []byte {
	dst = append(dst, `{"type":"job","id":`...)
	dst = strconv.AppendUint(dst, id, 10)
	dst = append(dst, `,"function":`...)
	dst = appendString(dst, j.Function)
	dst = append(dst, `,"handle":`...)
	dst = appendString(dst, j.Handle)
	dst = append(dst, `,"unique":`...)
	dst = appendString(dst, j.Unique)
	if j.Attempt > 1 {
		dst = append(dst, `,"attempt":`...)
		dst = strconv.AppendInt(dst, int64(j.Attempt), 10)
	}
	dst = append(dst, `,"bytes":`...)
	dst = strconv.AppendInt(dst, j.Size, 10)
	return append(dst, "}\n"...)
}

// AppendHello appends the message that opens the conversation with a process. It names the
// functions, so that a process that can't do one of them reports that before it gets a job.
func AppendHello(dst []byte, functions []string) []byte {
	dst = append(dst, `{"type":"hello","version":`...)
	dst = strconv.AppendInt(dst, Version, 10)
	dst = append(dst, `,"functions":[`...)
	for i, f := range functions {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(dst, f)
	}
	return append(dst, "]}\n"...)
}

// AppendPing appends the message that a process answers with a pong of the same id.
func AppendPing(dst []byte, id uint64) []byte {
	dst = append(dst, `{"type":"ping","id":`...)
	dst = strconv.AppendUint(dst, id, 10)
	return append(dst, "}\n"...)
}

// appendString appends s as a JSON string. Bytes that are not UTF-8 become U+FFFD, since JSON can't
// represent them.
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
