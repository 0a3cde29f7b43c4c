// Command apidocs writes the reference of the API in Markdown, out of the generated
// CustomResourceDefinition, which has every field's description, bounds and rules.
//
//	apidocs CRD.yaml >docs/api.md
package main

import (
	"fmt"
	"os"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: apidocs CRD.yaml")
		os.Exit(2)
	}
	data, err := os.ReadFile(os.Args[1])
	if err == nil {
		var page []byte
		if page, err = render(data); err == nil {
			_, err = os.Stdout.Write(page)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "apidocs:", err)
		os.Exit(1)
	}
}
