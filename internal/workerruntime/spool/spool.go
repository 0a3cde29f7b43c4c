package spool

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// ErrTooLarge is returned for a result that is larger than its limit.
var ErrTooLarge = errors.New("result is larger than the limit")

// ErrDisk is returned when a result can't be stored on disk.
var ErrDisk = errors.New("spool")

// Limits are how much of a result is kept, and where.
type Limits struct {
	// Dir is the directory for large results. The files have no name, so nothing is left behind in
	// any case.
	Dir string
	// Above is the size in bytes from which a result goes to a file.
	Above int64
	// Max is the size in bytes of the largest result.
	Max int64
}

// NewFile opens a file without a name in dir.
func NewFile(dir string) (*os.File, error) {
	if f, err := unnamed(dir); err == nil {
		return f, nil
	}
	// Systems and file systems without O_TMPFILE (overlayfs of old kernels, NFS) get a file whose
	// name is removed at once.
	f, err := os.CreateTemp(dir, "gearman-worker-")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDisk, err)
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return nil, fmt.Errorf("%w: %w", ErrDisk, err)
	}
	return f, nil
}

// Buffer collects a result as it comes. The zero value with Limits is empty and ready.
type Buffer struct {
	Limits Limits

	mem  []byte
	file *os.File
	size int64
}

// Size is the number of bytes written so far.
func (b *Buffer) Size() int64 { return b.size }

// Write appends bytes. Its errors are ErrTooLarge and those of the disk.
func (b *Buffer) Write(p []byte) (int, error) {
	if b.size+int64(len(p)) > b.Limits.Max {
		return 0, fmt.Errorf("%w of %d bytes", ErrTooLarge, b.Limits.Max)
	}
	if b.file == nil && b.size+int64(len(p)) > b.Limits.Above {
		if err := b.spill(); err != nil {
			return 0, err
		}
	}
	if b.file != nil {
		n, err := b.file.Write(p)
		b.size += int64(n)
		if err != nil {
			return n, fmt.Errorf("%w: %w", ErrDisk, err)
		}
		return n, nil
	}
	b.mem = append(b.mem, p...)
	b.size += int64(len(p))
	return len(p), nil
}

func (b *Buffer) spill() error {
	f, err := NewFile(b.Limits.Dir)
	if err != nil {
		return err
	}
	if _, err := f.Write(b.mem); err != nil {
		f.Close()
		return fmt.Errorf("%w: %w", ErrDisk, err)
	}
	b.file, b.mem = f, nil
	return nil
}

// ReadFull reads exactly n bytes from r.
func (b *Buffer) ReadFull(r io.Reader, n int64) error {
	if n > b.Limits.Max {
		return fmt.Errorf("%w of %d bytes", ErrTooLarge, b.Limits.Max)
	}
	if n <= b.Limits.Above && b.size == 0 {
		// Memory is allocated only as the bytes come, so that an announced size alone costs
		// nothing.
		const step = 1 << 20
		for b.size < n {
			chunk := min(n-b.size, step)
			b.mem = append(b.mem, make([]byte, chunk)...)
			got, err := io.ReadFull(r, b.mem[b.size:])
			b.size += int64(got)
			if err != nil {
				b.mem = b.mem[:b.size]
				return noEOF(err)
			}
		}
		return nil
	}
	got, err := io.CopyN(b, r, n)
	if got < n && errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Take returns what was kept, either as bytes or as a file, and empties the buffer. The caller must
// close the file; read it with ReadAt or through io.NewSectionReader.
func (b *Buffer) Take() (mem []byte, file *os.File, size int64) {
	mem, file, size = b.mem, b.file, b.size
	b.mem, b.file, b.size = nil, nil, 0
	return mem, file, size
}

// Discard drops what was kept.
func (b *Buffer) Discard() {
	if b.file != nil {
		b.file.Close()
	}
	b.mem, b.file, b.size = nil, nil, 0
}
