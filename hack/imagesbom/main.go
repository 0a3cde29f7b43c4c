// Command imagesbom writes the bill of materials (CycloneDX JSON) of an image that consists of Go
// programs and of files: `imagesbom -name NAME -version VERSION [-file NAME=PATH] PROGRAM...`. The
// programs say themselves which modules they are made of. The image is FROM scratch, so there is
// nothing else in it.
package main

import (
	"cmp"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
)

type bom struct {
	Format       string       `json:"bomFormat"`
	SpecVersion  string       `json:"specVersion"`
	Version      int          `json:"version"`
	Metadata     metadata     `json:"metadata"`
	Components   []component  `json:"components"`
	Dependencies []dependency `json:"dependencies"`
}

type metadata struct {
	Component component `json:"component"`
}

type component struct {
	Ref     string `json:"bom-ref"`
	Type    string `json:"type"`
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
	PURL    string `json:"purl,omitempty"`
	Hashes  []hash `json:"hashes,omitempty"`
}

type hash struct {
	Algorithm string `json:"alg"`
	Content   string `json:"content"`
}

type dependency struct {
	Ref       string   `json:"ref"`
	DependsOn []string `json:"dependsOn,omitempty"`
}

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "imagesbom:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	flags := flag.NewFlagSet("imagesbom", flag.ContinueOnError)
	name, version := flags.String("name", "", "name of the image"), flags.String("version", "", "version of the image")
	files := map[string]string{}
	flags.Func("file", "a file of the image, as NAME=PATH", func(s string) error {
		name, path, ok := strings.Cut(s, "=")
		if !ok {
			return fmt.Errorf("want NAME=PATH, not %q", s)
		}
		files[name] = path
		return nil
	})
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *name == "" || *version == "" || flags.NArg() == 0 {
		return fmt.Errorf("give -name, -version and the programs of the image")
	}
	b, err := describe(*name, *version, files, flags.Args())
	if err != nil {
		return err
	}
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	return e.Encode(b)
}

// describe makes the bill of an image. Two calls for the same files give the same.
func describe(name, version string, files map[string]string, programs []string) (*bom, error) {
	image := component{Ref: "image", Type: "container", Name: name, Version: version}
	b := &bom{Format: "CycloneDX", SpecVersion: "1.6", Version: 1, Metadata: metadata{image}}
	contents := dependency{Ref: image.Ref}
	modules := map[string]component{}
	for _, path := range programs {
		info, err := buildinfo.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("%s is not a Go program: %w", path, err)
		}
		program, err := file("program:", filepath.Base(path), path)
		if err != nil {
			return nil, err
		}
		program.Type, program.Version = "application", version
		parts := dependency{Ref: program.Ref}
		for _, m := range modulesOf(info) {
			modules[m.Ref] = m
			parts.DependsOn = append(parts.DependsOn, m.Ref)
		}
		b.Components, b.Dependencies = append(b.Components, program), append(b.Dependencies, parts)
		contents.DependsOn = append(contents.DependsOn, program.Ref)
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		c, err := file("file:", name, files[name])
		if err != nil {
			return nil, err
		}
		b.Components = append(b.Components, c)
		contents.DependsOn = append(contents.DependsOn, c.Ref)
	}
	b.Components = append(
		b.Components,
		slices.SortedFunc(maps.Values(modules), func(a, b component) int { return cmp.Compare(a.Ref, b.Ref) })...,
	)
	b.Dependencies = append([]dependency{contents}, b.Dependencies...)
	return b, nil
}

// modulesOf are the modules and the standard library that a program is made of.
func modulesOf(info *debug.BuildInfo) []component {
	all := make([]component, 0, 1+len(info.Deps))
	all = append(all, module("stdlib", strings.TrimPrefix(info.GoVersion, "go")))
	for _, m := range info.Deps {
		if m.Replace != nil && m.Replace.Version != "" {
			m = m.Replace
		}
		all = append(all, module(m.Path, m.Version))
	}
	slices.SortFunc(all, func(a, b component) int { return cmp.Compare(a.Ref, b.Ref) })
	return all
}

func module(path, version string) component {
	purl := "pkg:golang/" + path + "@" + version
	return component{Ref: purl, Type: "library", Name: path, Version: version, PURL: purl}
}

func file(prefix, name, path string) (component, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return component{}, err
	}
	sum := sha256.Sum256(content)
	return component{
		Ref: prefix + name, Type: "file", Name: name, Hashes: []hash{{"SHA-256", hex.EncodeToString(sum[:])}},
	}, nil
}
