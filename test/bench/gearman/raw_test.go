package gearman

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

// rawConn is a socket and a buffer; all that it knows is where a packet ends.
type rawConn struct {
	nc   net.Conn
	buf  []byte
	r, w int
}

func rawDial(tb testing.TB, addr string) *rawConn {
	tb.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		tb.Fatal(err)
	}
	return &rawConn{nc: nc, buf: make([]byte, 256<<10)}
}

// packets waits for at least one packet, reads what there is, and calls f for each.
func (c *rawConn) packets(f func(typ uint32, data []byte)) error {
	for n := 0; ; {
		for c.w-c.r >= 12 {
			size := int(binary.BigEndian.Uint32(c.buf[c.r+8:]))
			if c.w-c.r < 12+size {
				break
			}
			f(binary.BigEndian.Uint32(c.buf[c.r+4:]), c.buf[c.r+12:c.r+12+size])
			c.r += 12 + size
			n++
		}
		if n > 0 {
			return nil
		}
		copy(c.buf, c.buf[c.r:c.w])
		c.r, c.w = 0, c.w-c.r
		k, err := c.nc.Read(c.buf[c.w:])
		if err != nil {
			return err
		}
		c.w += k
	}
}

// rawSubmit queues n jobs, window of them in flight, by writing from one buffer that was made
// before.
func rawSubmit(tb testing.TB, addr, function string, payload []byte, n, window int) time.Duration {
	tb.Helper()
	c := rawDial(tb, addr)
	defer c.nc.Close()
	one := proto.AppendSubmit(nil, proto.TypeSubmitJobBG, function, "", payload)
	var many []byte
	for range window {
		many = append(many, one...)
	}
	start := time.Now()
	sent, done := min(window, n), 0
	_, err := c.nc.Write(many[:sent*len(one)])
	for err == nil && done < n {
		got := 0
		err = c.packets(func(typ uint32, _ []byte) {
			got++
			if typ != uint32(proto.TypeJobCreated) {
				err = fmt.Errorf("answer of type %d", typ)
			}
		})
		done += got
		if more := min(got, n-sent); more > 0 && err == nil {
			sent += more
			_, err = c.nc.Write(many[:more*len(one)])
		}
	}
	if err != nil {
		tb.Fatal(err)
	}
	return time.Since(start)
}

// rawForeground runs n jobs after each other.
func rawForeground(tb testing.TB, c *rawConn, function string, payload []byte, n int) time.Duration {
	tb.Helper()
	one := proto.AppendSubmit(nil, proto.TypeSubmitJob, function, "", payload)
	start := time.Now()
	for range n {
		if _, err := c.nc.Write(one); err != nil {
			tb.Fatal(err)
		}
		for complete := false; !complete; {
			if err := c.packets(
				func(typ uint32, _ []byte) { complete = complete || typ == uint32(proto.TypeWorkComplete) },
			); err != nil {
				tb.Fatal(err)
			}
		}
	}
	return time.Since(start)
}

// rawWork processes the queued jobs over conns connections, sending COMPLETE and the next
// GRAB_JOB_UNIQ in one write. It returns when each connection has received a NO_JOB, and measures
// until the first one.
func rawWork(tb testing.TB, addr, function string, conns int) (jobs int, took time.Duration) {
	tb.Helper()
	var mu sync.Mutex
	var errs error
	var ends []time.Time
	all := make([]*rawConn, conns)
	for i := range all {
		all[i] = rawDial(tb, addr)
		if _, err := all[i].nc.Write(proto.AppendCanDo(nil, function)); err != nil {
			tb.Fatal(err)
		}
	}
	start := time.Now()
	var wg sync.WaitGroup
	for _, c := range all {
		wg.Go(func() {
			defer c.nc.Close()
			n, err := rawWorkOne(c)
			end := time.Now()
			mu.Lock()
			defer mu.Unlock()
			ends = append(ends, end)
			jobs += n
			errs = errors.Join(errs, err)
		})
	}
	wg.Wait()
	if errs != nil {
		tb.Fatal(errs)
	}
	return jobs, slices.MinFunc(ends, time.Time.Compare).Sub(start)
}

func rawWorkOne(c *rawConn) (n int, err error) {
	grab := proto.AppendEmpty(nil, proto.Request, proto.TypeGrabJobUniq)
	out := append([]byte(nil), grab...)
	for idle := false; !idle; {
		if _, err := c.nc.Write(out); err != nil {
			return n, err
		}
		err := c.packets(func(typ uint32, data []byte) {
			if typ == uint32(proto.TypeNoJob) {
				idle = true
				return
			}
			end := 0
			for data[end] != 0 {
				end++
			}
			out = proto.AppendWork(out[:0], proto.Request, proto.TypeWorkComplete, data[:end], "")
			out = append(out, grab...)
			n++
		})
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// rawEcho serves function over conns connections until stop is called: the workers behind the
// foreground figures.
func rawEcho(tb testing.TB, addr, function string, conns int) (stop func()) {
	tb.Helper()
	var wg sync.WaitGroup
	var all []net.Conn
	for range conns {
		c := rawDial(tb, addr)
		all = append(all, c.nc)
		if _, err := c.nc.Write(proto.AppendCanDo(nil, function)); err != nil {
			tb.Fatal(err)
		}
		wg.Go(func() {
			grab := proto.AppendEmpty(nil, proto.Request, proto.TypeGrabJobUniq)
			out := append([]byte(nil), grab...)
			for {
				if _, err := c.nc.Write(out); err != nil {
					return
				}
				out = out[:0]
				err := c.packets(func(typ uint32, data []byte) {
					switch proto.Type(typ) {
					case proto.TypeNoJob:
						out = proto.AppendEmpty(out, proto.Request, proto.TypePreSleep)
					case proto.TypeNoop:
						out = append(out, grab...)
					default:
						a, err := proto.Packet{Dir: proto.Response, Type: proto.Type(typ), Data: data}.Assignment()
						if err != nil {
							tb.Error(err)
						}
						out = proto.AppendWork(out, proto.Request, proto.TypeWorkComplete, a.Handle, a.Payload)
						out = append(out, grab...)
					}
				})
				if err != nil {
					if !errors.Is(err, net.ErrClosed) && !errors.Is(err, io.EOF) {
						tb.Error(err)
					}
					return
				}
			}
		})
	}
	return func() {
		for _, nc := range all {
			_ = nc.Close()
		}
		wg.Wait()
	}
}
