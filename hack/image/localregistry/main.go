// Command localregistry serves a container registry on a loopback port of this machine until it is
// ended, and keeps what is pushed to it in memory. It writes its address to a file once it listens:
// `localregistry -address-file FILE`. For tests only.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
)

func main() {
	file := flag.String("address-file", "", "the file that gets the address, such as 127.0.0.1:40123")
	flag.Parse()
	if err := run(*file); err != nil {
		fmt.Fprintln(os.Stderr, "localregistry:", err)
		os.Exit(1)
	}
}

func run(file string) error {
	if file == "" {
		return errors.New("name a file for the address: -address-file FILE")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer listener.Close()
	// Renamed into place, so that whoever waits for the file never reads half an address.
	if err := os.WriteFile(file+".new", []byte(listener.Addr().String()), 0o644); err != nil {
		return err
	}
	if err := os.Rename(file+".new", file); err != nil {
		return err
	}
	server := http.Server{
		Handler:           registry.New(registry.Logger(log.New(io.Discard, "", 0))),
		ReadHeaderTimeout: time.Minute,
	}
	return server.Serve(listener)
}
