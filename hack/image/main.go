// Command image packs files into an OCI image FROM scratch and writes it as an archive, without a
// registry and without Docker.
//
//	image -output app.tar -name app:1.0 -arch amd64,arm64 -entrypoint /app build/{arch}/app:/app :/tmp:1777 -- config:/etc/app.conf
//
// "--" begins another layer. With -tree the files are written below a folder instead, for a
// Dockerfile to copy; with -list it prints what an archive holds; with -push it pushes an archive
// to a registry, with the credentials of `docker login`; with -digest it asks a registry for the
// digest of an image.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/gearman-operator/gearman-operator/hack/image/oci"
	"github.com/gearman-operator/gearman-operator/hack/image/registry"
)

//nolint:funlen // a list of steps
func main() {
	o := oci.Options{Labels: map[string]string{}}
	output := flag.String("output", "image.tar", "the archive to write")
	tree := flag.String("tree", "", "the folder to write the files to, instead of an archive")
	list := flag.String(
		"list", "", "an OCI archive, whose files and settings for -arch are printed; nothing is written",
	)
	push := flag.String("push", "", "an OCI archive, which is pushed as -name; nothing is written")
	digest := flag.String("digest", "", "an image in a registry, whose digest is printed; nothing is written")
	flag.StringVar(&o.Name, "name", "", "image name with its tag")
	arch := flag.String("arch", runtime.GOARCH, "architectures, separated by commas")
	flag.StringVar(&o.User, "user", "65532:65532", "user and group")
	flag.StringVar(&o.Roots, "roots", "", "path in the image for the certificate authorities")
	words := func(to *[]string, name, usage string) {
		flag.Func(name, usage, func(s string) error { *to = append(*to, s); return nil })
	}
	words(&o.Entrypoint, "entrypoint", "one word of the entry point (repeatable)")
	words(&o.Cmd, "cmd", "one word of the default arguments (repeatable)")
	words(&o.Env, "env", "NAME=VALUE (repeatable)")
	flag.Func("label", "NAME=VALUE (repeatable)", func(s string) error {
		name, value, _ := strings.Cut(s, "=")
		o.Labels[name] = value
		return nil
	})
	flag.Parse()
	if *list != "" {
		lines, err := oci.List(*list, *arch)
		exitOn(err)
		fmt.Println(strings.Join(lines, "\n"))
		return
	}
	if *push != "" {
		pushed, err := registry.Push(context.Background(), *push, o.Name)
		exitOn(err)
		fmt.Println(pushed)
		return
	}
	if *digest != "" {
		found, err := registry.Digest(context.Background(), *digest)
		exitOn(err)
		fmt.Println(found)
		return
	}
	// https://reproducible-builds.org/docs/source-date-epoch/
	epoch, _ := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64)
	o.Created = time.Unix(epoch, 0).UTC()
	o.Architectures = strings.Split(*arch, ",")
	o.Layers = [][]string{nil}
	for _, f := range flag.Args() {
		if f == "--" {
			o.Layers = append(o.Layers, nil)
			continue
		}
		last := &o.Layers[len(o.Layers)-1]
		*last = append(*last, f)
	}
	if *tree != "" {
		exitOn(oci.WriteTree(o, *tree))
		return
	}
	written, err := oci.Write(o, *output)
	exitOn(err)
	fmt.Printf("%s %s %s\n", o.Name, written, *output)
}

func exitOn(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}
