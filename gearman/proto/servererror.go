package proto

import (
	"bytes"
	"fmt"
)

// AppendError appends ERROR.
func AppendError[C, T Bytes](dst []byte, code C, text T) []byte {
	return append2(dst, Response, TypeError, code, text)
}

// ServerError is an ERROR packet. It implements error.
type ServerError struct {
	Code, Text string
}

// Error returns the job server's code and text.
func (e *ServerError) Error() string {
	if e.Text == "" {
		return "server error " + e.Code
	}
	return fmt.Sprintf("server error %s: %q", e.Code, e.Text)
}

// Codes of gearmand's ERROR packets.
const (
	CodeInvalidMagic     = "INVALID_MAGIC"
	CodeInvalidCommand   = "INVALID_COMMAND"
	CodeUnknownOption    = "UNKNOWN_OPTION"
	CodeJobNotFound      = "JOB_NOT_FOUND"
	CodeArgumentTooLarge = "ARGUMENT_TOO_LARGE"
	CodeQueueError       = "QUEUE_ERROR"
)

// ServerError decodes ERROR into an error value with memory of its own.
func (p Packet) ServerError() (*ServerError, error) {
	if p.Type != TypeError {
		return nil, p.errType("ERROR")
	}
	code, text, _ := bytes.Cut(p.Data, nul)
	return &ServerError{Code: string(code), Text: string(text)}, nil
}
