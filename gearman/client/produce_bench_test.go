package client_test

import (
	"testing"

	"github.com/gearman-operator/gearman-operator/gearman/client"
	"github.com/gearman-operator/gearman-operator/gearman/gearmantest/jobserver"
)

func BenchmarkProduce(b *testing.B) {
	c, err := client.New(client.Options{Servers: []string{jobserver.Gearmand(b).Addr}})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	t := &client.Task{Function: "f", Payload: make([]byte, 100), NoKey: true, Background: true}
	b.ReportAllocs()
	for b.Loop() {
		c.Produce(b.Context(), t, nil)
	}
	if err := c.Flush(b.Context()); err != nil {
		b.Fatal(err)
	}
}
