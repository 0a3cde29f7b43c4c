package proto

import (
	"errors"
	"fmt"
	"strings"
)

// Errors of the format. All are wrapped with details of the data that was read.
var (
	// ErrMagic: the stream has neither a packet of this protocol nor, if one is allowed, a line of
	// text.
	ErrMagic = errors.New("bad packet magic")
	// ErrType: the packet's type is unknown, or not allowed in its direction.
	ErrType = errors.New("unexpected packet type")
	// ErrTooLarge: a packet or line is longer than the limit.
	ErrTooLarge = errors.New("larger than the limit")
	// ErrArguments: a packet has the wrong number of arguments, or one that can't be parsed.
	ErrArguments = errors.New("bad packet arguments")
	// ErrRow: a row of a text response can't be parsed.
	ErrRow = errors.New("garbled row")
	// ErrName: a function name, unique key, handle or client id can't be sent.
	ErrName = errors.New("invalid name")
)

// Limits of gearmand 1.1.20, in bytes.
const (
	MaxFunction = 8000 // a CAN_DO must fit the server's 8,192-byte buffer, or it closes the connection
	// 64: accepted, but never joined, and the worker's payload is shifted by a NUL; longer: ERROR
	// ARGUMENT_TOO_LARGE
	MaxUnique   = 63
	MaxHandle   = 63        // longer ones get no response at all
	MaxClientID = 127       // the job server truncates the rest
	MaxTextLine = 8191      // with its newline; a longer line closes the connection
	MaxData     = 1<<32 - 1 // the limit of the format
)

// CheckFunction returns an error if a name can't be used for a function. It rejects white space and
// control bytes: a NUL would end the argument, a newline would fake rows of the job server's
// status, and blanks make its list of workers ambiguous.
func CheckFunction(name string) error {
	if name == "" {
		return fmt.Errorf("%w: the function name is empty", ErrName)
	}
	if len(name) > MaxFunction {
		return fmt.Errorf(
			"%w: the function name has %d bytes, job servers take at most %d", ErrName, len(name), MaxFunction,
		)
	}
	for i := range len(name) {
		if c := name[i]; c <= ' ' || c == 0x7f {
			return fmt.Errorf(
				"%w: function name %.80q holds white space or a control byte at offset %d", ErrName, name, i,
			)
		}
	}
	return nil
}

// CheckUnique returns an error if a key can't be used as a job's unique key. The empty key means no
// key.
func CheckUnique(unique string) error {
	if len(unique) > MaxUnique {
		return fmt.Errorf(
			"%w: the unique key has %d bytes, job servers take at most %d (hash longer keys)", ErrName, len(unique),
			MaxUnique,
		)
	}
	if i := strings.IndexByte(unique, 0); i >= 0 {
		return fmt.Errorf("%w: the unique key holds a NUL byte at offset %d", ErrName, i)
	}
	return nil
}

// CheckHandle returns an error if a job handle can't be used in a request: gearmand never responds
// for a longer one.
func CheckHandle(handle string) error {
	if handle == "" {
		return fmt.Errorf("%w: the job handle is empty", ErrName)
	}
	if len(handle) > MaxHandle {
		return fmt.Errorf("%w: the job handle has %d bytes, handles have at most %d", ErrName, len(handle), MaxHandle)
	}
	if i := strings.IndexByte(handle, 0); i >= 0 {
		return fmt.Errorf("%w: the job handle holds a NUL byte at offset %d", ErrName, i)
	}
	return nil
}

// CheckClientID returns an error if a client id can't be set: white space in it would break the
// rows of the job server's list of workers.
func CheckClientID(id string) error {
	if id == "" {
		return fmt.Errorf("%w: the client id is empty", ErrName)
	}
	if len(id) > MaxClientID {
		return fmt.Errorf("%w: the client id has %d bytes, job servers cut it at %d", ErrName, len(id), MaxClientID)
	}
	for i := range len(id) {
		if c := id[i]; c <= ' ' || c == 0x7f {
			return fmt.Errorf("%w: client id %q holds white space or a control byte at offset %d", ErrName, id, i)
		}
	}
	return nil
}
