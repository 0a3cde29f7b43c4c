// Command krew writes the krew manifest of the kubectl plugin for the archives of a release, with
// the checksum of each. It refuses archives from which krew could not install the plugin.
//
//	krew -version 1.2.3 DIRECTORY >gearman.krew.yaml
package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	version := flag.String("version", "", "version of the release, such as 1.2.3")
	flag.Parse()
	if *version == "" || flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: krew -version VERSION DIRECTORY")
		os.Exit(2)
	}
	text, err := manifest(*version, flag.Arg(0))
	if err == nil {
		_, err = os.Stdout.WriteString(text)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "krew:", err)
		os.Exit(1)
	}
}
