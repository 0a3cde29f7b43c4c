package process

import "golang.org/x/sys/unix"

// Unread is how many bytes lie in a pipe.
func Unread(fd uintptr) (int, error) { return unix.IoctlGetInt(int(fd), unreadRequest) }
