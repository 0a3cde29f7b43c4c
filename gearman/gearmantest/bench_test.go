package gearmantest_test

import (
	"fmt"
	"io"
	"slices"
	"testing"

	"github.com/gearman-operator/gearman-operator/gearman/gearmantest"
	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

func BenchmarkSubmit(b *testing.B) {
	for _, window := range []int{1, 64, 1000} {
		b.Run(fmt.Sprint("window=", window), func(b *testing.B) {
			s := gearmantest.NewServer(gearmantest.Options{})
			defer s.Close()
			c := dial(b, s)
			payload := make([]byte, 100)
			var out []byte
			for range window {
				out = proto.AppendSubmit(out, proto.TypeSubmitJobBG, "f", "", payload)
			}
			b.ReportAllocs()
			for n := 0; b.Loop(); {
				if n == 0 {
					if _, err := c.nc.Write(out); err != nil {
						b.Fatal(err)
					}
					n = window
				}
				if _, err := c.r.Next(); err != nil {
					b.Fatal(err)
				}
				n--
			}
		})
	}
}

func BenchmarkWork(b *testing.B) {
	s := gearmantest.NewServer(gearmantest.Options{})
	defer s.Close()
	for range b.N {
		s.Submit("f", "", make([]byte, 100))
	}
	c := dial(b, s)
	c.send(proto.TypeCanDo, "f")
	grab := proto.AppendEmpty(nil, proto.Request, proto.TypeGrabJob)
	request := slices.Clone(grab)
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		if _, err := c.nc.Write(request); err != nil {
			b.Fatal(err)
		}
		p, err := c.r.Next()
		if err != nil {
			b.Fatal(err)
		}
		a, err := p.Assignment()
		if err != nil {
			b.Fatal(err)
		}
		request = append(
			proto.AppendWork(request[:0], proto.Request, proto.TypeWorkComplete, a.Handle, a.Payload), grab...,
		)
	}
}

func BenchmarkStatus(b *testing.B) {
	for _, functions := range []int{1, 1_000, 10_000} {
		b.Run(fmt.Sprint("functions=", functions), func(b *testing.B) {
			s := gearmantest.NewServer(gearmantest.Options{})
			defer s.Close()
			for i := range functions {
				s.Submit(fmt.Sprint("function-", i), "", nil)
			}
			c := dial(b, s)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := io.WriteString(c.nc, "status\n"); err != nil {
					b.Fatal(err)
				}
				for range functions + 1 {
					if _, err := c.r.ReadLine(); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}

// BenchmarkConnections measures the cost of idle workers: memory and time for each.
func BenchmarkConnections(b *testing.B) {
	s := gearmantest.NewServer(gearmantest.InMemory(""))
	defer s.Close()
	b.ReportAllocs()
	for b.Loop() {
		c := dial(b, s)
		c.send(proto.TypeCanDo, "f")
		c.sync()
	}
}
