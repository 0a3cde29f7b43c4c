//go:build !unix

package client

import "net"

// direct is always nil: only the writer's goroutine writes.
type direct struct{}

func newDirect(net.Conn) *direct { return nil }

func (*direct) write([]byte) int { return 0 }
