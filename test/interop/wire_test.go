package interop

import (
	"net"
	"testing"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/gearmantest/jobserver"
	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

// waiting waits until this many clients wait for the job with a unique key.
func waiting(t *testing.T, s *jobserver.Server, unique string, clients uint64) {
	t.Helper()
	nc, err := net.Dial("tcp", s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if err := nc.SetDeadline(time.Now().Add(waitLimit)); err != nil {
		t.Fatal(err)
	}
	r := proto.NewReader(nc, proto.Limits{})
	for ; ; time.Sleep(5 * time.Millisecond) {
		if _, err := nc.Write(proto.AppendGetStatusUnique(nil, unique)); err != nil {
			t.Fatal(err)
		}
		p, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		st, err := p.Status()
		if err != nil {
			t.Fatal(err)
		}
		if st.Clients == clients {
			return
		}
	}
}
