package backlogtest

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/proto"
	"github.com/gearman-operator/gearman-operator/internal/backlog"
)

// A played job server answers commands and echo requests in the order in which they come, and drops
// other packets.
func TestServe(t *testing.T) {
	t.Parallel()
	ours, theirs := net.Pipe()
	go Serve(theirs, func(command string) []byte { return []byte("<" + command + ">") })
	if err := ours.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	request := proto.AppendCanDo([]byte("status\n"), "f")
	request = proto.AppendEcho(request, proto.Request, "mark")
	request = append(request, "workers\r\n"...)
	want := append(proto.AppendEcho([]byte("<status>"), proto.Response, "mark"), "<workers>"...)
	go func() { _, _ = ours.Write(request) }() // a failure shows in what is read
	got := make([]byte, len(want))
	if _, err := io.ReadFull(ours, got); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%q, %v; want %q", got, err, want)
	}

	// It leaves at a packet that is longer than it reads.
	go func() { _, _ = ours.Write(proto.AppendHeader(nil, proto.Request, proto.TypeEchoReq, 1<<20)) }()
	if _, err := ours.Read(got); !errors.Is(err, io.EOF) {
		t.Errorf("after a long packet: %v, want %v", err, io.EOF)
	}
}

// A watcher sees what the played job server answers, and ends with the test.
func TestWatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := Watch(t, backlog.Options{}, map[string]Answers{"10.0.0.1": {"status": []byte("f\t5\t2\t1\n.\n")}})
		key := backlog.PoolKey{Namespace: "ns", Name: "pool"}
		sub := backlog.Subscription{Servers: []string{"10.0.0.1"}, Functions: []string{"f"}}
		if err := w.Set(key, sub); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if s, _ := w.Sample(key, time.Now()); s.Functions[0].Queued != 3 || s.Functions[0].Running != 2 {
			t.Errorf("%+v", s.Functions[0])
		}
	})
}
