//go:build !linux || portable || nothreads

package workerruntime

import (
	"context"
	"net"
)

// dialThread is nil: slots wait in the Go runtime's poller.
var dialThread func(context.Context, string, string) (net.Conn, error)

func roomForThreads(int) {}
