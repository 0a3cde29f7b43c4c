package localworker

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// State is the content of a worker's state file.
type State struct {
	PID     int       `json:"pid"`
	UID     string    `json:"uid"`
	Name    string    `json:"name"`
	Started time.Time `json:"started"`
}

// Lock creates or opens a file and locks it for as long as the returned file is open. It fails with
// ErrLocked if another process holds the lock.
func Lock(path string, content any) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, ErrLocked
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	data, err := json.Marshal(content)
	if err == nil {
		err = f.Truncate(0)
	}
	if err == nil {
		_, err = f.WriteAt(data, 0)
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("write %s: %w", path, err)
	}
	return f, nil
}

// ErrLocked means that another process holds the lock.
var ErrLocked = errors.New("another process holds the lock")

// Read returns the state of a worker and whether it still lives.
func Read(path string) (s State, alive bool, err error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return s, false, err
	}
	defer f.Close()
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB)
	alive = errors.Is(err, syscall.EWOULDBLOCK)
	if err != nil && !alive {
		return s, false, fmt.Errorf("lock %s: %w", path, err)
	}
	// A worker that was killed while writing leaves arbitrary content; then only its end matters.
	if err := json.NewDecoder(f).Decode(&s); err != nil && alive {
		return s, true, fmt.Errorf("read %s: %w", path, err)
	}
	return s, alive, nil
}
