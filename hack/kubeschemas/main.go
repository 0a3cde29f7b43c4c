// Command kubeschemas writes JSON schemas for kubeconform, so that manifests are checked without a
// network. Its sources are the OpenAPI description that every Kubernetes release carries in its Go
// module, and CustomResourceDefinitions.
//
//	kubeschemas -out DIR swagger.json crd.yaml ...
//
// The schemas are strict: an unknown field is an error, as it is for `kubectl apply
// --validate=strict`.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	out := flag.String("out", "", "directory that receives one file for each kind")
	flag.Parse()
	if err := run(*out, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "kubeschemas:", err)
		os.Exit(1)
	}
}

func run(out string, sources []string) error {
	if out == "" || len(sources) == 0 {
		return fmt.Errorf("usage: kubeschemas -out DIR SOURCE.json|SOURCE.yaml")
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	written := 0
	for _, source := range sources {
		data, err := os.ReadFile(source)
		if err != nil {
			return err
		}
		convert := fromCRDs
		if filepath.Ext(source) == ".json" {
			convert = fromSwagger
		}
		schemas, err := convert(data)
		if err != nil {
			return fmt.Errorf("%s: %w", source, err)
		}
		for name, schema := range schemas {
			if err := os.WriteFile(filepath.Join(out, name), schema, 0o644); err != nil {
				return err
			}
			written++
		}
	}
	if written == 0 {
		return fmt.Errorf("no kind found in %v", sources)
	}
	return nil
}
