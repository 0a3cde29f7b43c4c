package hostile

import (
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// addressesOfAName is how many addresses each name has: more than are used for one name.
const addressesOfAName = 500

// nameserver answers every query for addresses with many of the loopback network.
type nameserver struct {
	addr    string // its port is 53
	queries atomic.Int64
	wg      sync.WaitGroup
}

// startNameserver returns nil if this machine does not allow listening on port 53.
func startNameserver(t *testing.T) *nameserver {
	t.Helper()
	pid := os.Getpid()
	n := &nameserver{addr: netip.AddrFrom4([4]byte{127, 53, byte(pid >> 8), byte(pid)}).String()}
	udp, err := net.ListenPacket("udp", n.addr+":53")
	if err != nil {
		t.Logf("no pool has names: %v", err)
		return nil
	}
	tcp, err := net.Listen("tcp", n.addr+":53")
	if err != nil {
		_ = udp.Close()
		t.Logf("no pool has names: %v", err)
		return nil
	}
	t.Cleanup(func() { _ = udp.Close(); _ = tcp.Close(); n.wg.Wait() })
	n.wg.Go(func() {
		in := make([]byte, 4096)
		for {
			size, from, err := udp.ReadFrom(in)
			if err != nil {
				return
			}
			n.queries.Add(1)
			if out, err := answer(in[:size], false); err == nil {
				_, _ = udp.WriteTo(out, from)
			}
		}
	})
	n.wg.Go(func() {
		for {
			conn, err := tcp.Accept()
			if err != nil {
				return
			}
			n.wg.Go(func() { n.serve(conn) })
		}
	})
	return n
}

// serve answers one query over TCP, which follows a truncated answer.
func (n *nameserver) serve(conn net.Conn) {
	defer conn.Close()
	var size [2]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return
	}
	in := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(conn, in); err != nil {
		return
	}
	n.queries.Add(1)
	if out, err := answer(in, true); err == nil {
		_, _ = conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(out))), out...))
	}
}

// answer returns all addresses over TCP; over UDP it reports that there are too many.
func answer(query []byte, whole bool) ([]byte, error) {
	var p dnsmessage.Parser
	header, err := p.Start(query)
	if err != nil {
		return nil, err
	}
	q, err := p.Question()
	if err != nil {
		return nil, err
	}
	b := dnsmessage.NewBuilder(
		nil,
		dnsmessage.Header{
			ID: header.ID, Response: true, Authoritative: true, Truncated: !whole && q.Type == dnsmessage.TypeA,
		},
	)
	b.EnableCompression()
	if err := b.StartQuestions(); err != nil {
		return nil, err
	}
	if err := b.Question(q); err != nil {
		return nil, err
	}
	if err := b.StartAnswers(); err != nil {
		return nil, err
	}
	if whole && q.Type == dnsmessage.TypeA {
		sum := 0 // each name has addresses of its own
		for _, c := range q.Name.String() {
			sum = sum*31 + int(c)
		}
		for i := range addressesOfAName {
			a := dnsmessage.AResource{A: [4]byte{127, byte(64 + sum%32), byte(sum/32%128*2 + i/250), byte(i%250 + 1)}}
			if err := b.AResource(
				dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET, TTL: 1}, a,
			); err != nil {
				return nil, err
			}
		}
	}
	return b.Finish()
}
