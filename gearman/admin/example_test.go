package admin_test

import (
	"context"
	"fmt"
	"log"

	"github.com/gearman-operator/gearman-operator/gearman/admin"
	"github.com/gearman-operator/gearman-operator/gearman/gearmantest"
)

func ExampleConn_Status() {
	server := gearmantest.NewServer() // in production: gearmand
	defer server.Close()
	server.Submit("resize", "", []byte("cat.jpg"))

	ctx := context.Background()
	c, err := admin.Dial(ctx, server.Addr(), admin.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	rows, err := c.Status(ctx)
	if err != nil {
		log.Fatal(err)
	}
	for _, row := range rows {
		fmt.Println(row.Function, row.Queued(), row.Running, row.Workers)
	}
	// Output: resize 1 0 0
}
