package gearmantest_test

import (
	"fmt"
	"net"

	"github.com/gearman-operator/gearman-operator/gearman/gearmantest"
	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

func Example() {
	server := gearmantest.NewServer(gearmantest.Options{})
	defer server.Close()

	nc, err := net.Dial("tcp", server.Addr())
	if err != nil {
		fmt.Println(err)
		return
	}
	conn := proto.NewConn(nc, proto.Limits{})
	defer conn.Close()

	request := proto.AppendSubmit(nil, proto.TypeSubmitJobBG, "resize", "", "cat.jpg")
	request = proto.AppendCanDo(request, "resize")
	request = proto.AppendEmpty(request, proto.Request, proto.TypeGrabJob)
	if _, err := conn.Write(request); err != nil {
		fmt.Println(err)
		return
	}
	for range 2 {
		p, err := conn.Next()
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%s %q\n", p.Type, p.Data)
	}
	fmt.Printf("%+v\n", server.Function("resize"))
	// Output:
	// JOB_CREATED "H:gearmantest:1"
	// JOB_ASSIGN "H:gearmantest:1\x00resize\x00cat.jpg"
	// {Name:resize Total:1 Running:1 Workers:1}
}

func ExampleServer_SetFault() {
	server := gearmantest.NewServer(gearmantest.Options{})
	defer server.Close()
	server.SetFault(gearmantest.Fault{CutAfter: 20}) // in the middle of the first response

	nc, err := net.Dial("tcp", server.Addr())
	if err != nil {
		fmt.Println(err)
		return
	}
	conn := proto.NewConn(nc, proto.Limits{})
	defer conn.Close()
	if _, err := conn.Write(proto.AppendEcho(nil, proto.Request, "all of this comes back")); err != nil {
		fmt.Println(err)
		return
	}
	_, err = conn.Next()
	fmt.Println(err)
	// Output: unexpected EOF
}
