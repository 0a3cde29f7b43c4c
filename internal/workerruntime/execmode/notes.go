package execmode

import (
	"bytes"
	"context"
	"log/slog"
	"strconv"
)

// note carries out one line of descriptor 3:
//
//	status 3/10    how far the job is
//	data TEXT      a part of the result, sent to the client now
//	warning TEXT   a warning to the client
//
// Anything else is logged: a command that uses descriptor 3 for something of its own doesn't fail for it.
func (r *run) note(line []byte) {
	if len(line) == 0 {
		return
	}
	word, rest, _ := bytes.Cut(line, []byte{' '})
	// Errors mean that the job server is gone and the job with it; the command may still finish what it does.
	switch string(word) {
	case "status":
		if n, d, ok := parseStatus(rest); ok {
			_ = r.job.Reporter.Status(n, d)
			return
		}
	case "data":
		_ = r.job.Reporter.Data(rest)
		return
	case "warning":
		_ = r.job.Reporter.Warning(rest)
		return
	}
	shown := line[:min(len(line), 200)]
	r.h.opts.LogLimit.Log(context.Background(), r.h.opts.Log, slog.LevelWarn,
		"Line on descriptor 3 is not understood; write status N/D, data TEXT or warning TEXT",
		slog.String("line", string(shown)), slog.String("function", r.job.Function), slog.String("handle", r.job.Handle))
}

// parseStatus reads "n/d", or "n d".
func parseStatus(s []byte) (n, d uint64, ok bool) {
	s = bytes.TrimSpace(s)
	i := bytes.IndexAny(s, "/ ")
	if i < 0 {
		return 0, 0, false
	}
	num, err := strconv.ParseUint(string(s[:i]), 10, 64)
	den, err2 := strconv.ParseUint(string(bytes.TrimSpace(s[i+1:])), 10, 64)
	return num, den, err == nil && err2 == nil
}
