package process

import "golang.org/x/sys/unix"

// Unread returns how many bytes are in a pipe.
func Unread(fd uintptr) (int, error) { return unix.IoctlGetInt(int(fd), unreadRequest) }
