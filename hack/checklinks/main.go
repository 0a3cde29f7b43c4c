// Command checklinks fails if a Markdown file under a directory links to a file or a heading that
// does not exist. Links to other sites are not followed: a check that needs the network fails for
// reasons that have nothing to do with a change.
package main

import (
	"fmt"
	"os"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: checklinks DIRECTORY")
		os.Exit(2)
	}
	report, err := check(os.DirFS(os.Args[1]))
	if err != nil {
		fmt.Fprintln(os.Stderr, "checklinks:", err)
		os.Exit(1)
	}
	for _, broken := range report.broken {
		fmt.Fprintln(os.Stderr, broken)
	}
	fmt.Printf("links: %d files, %d links, %d broken\n", report.files, report.links, len(report.broken))
	if len(report.broken) > 0 {
		os.Exit(1)
	}
}
