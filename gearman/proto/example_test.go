package proto_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

// Encoders append to a slice. A Reader reads packets and lines of text from any stream.
func Example() {
	wire := proto.AppendSubmit(nil, proto.TypeSubmitJobBG, "resize", "cat", "cat.jpg")
	wire = append(wire, "status\n"...)

	r := proto.NewReader(bytes.NewReader(wire), proto.Limits{})
	for {
		text, err := r.IsText()
		if errors.Is(err, io.EOF) {
			return
		}
		if text {
			line, err := r.ReadLine()
			fmt.Printf("text %q %v\n", line, err)
			continue
		}
		p, err := r.Next()
		if err != nil {
			fmt.Println(err)
			return
		}
		s, err := p.Submission()
		fmt.Printf("%s %s %s %s %v\n", p.Type, s.Function, s.Unique, s.Payload, err)
	}
	// Output:
	// SUBMIT_JOB_BG resize cat cat.jpg <nil>
	// text "status" <nil>
}

// Rows of text are parsed from the right, since names may contain tabs.
func ExampleParseStatusRow() {
	row, err := proto.ParseStatusRow([]byte("tab\tname\t5\t1\t2"))
	fmt.Printf("%q %d %d %d %v\n", row.Function, row.Total, row.Running, row.Workers, err)
	// Output: "tab\tname" 5 1 2 <nil>
}
