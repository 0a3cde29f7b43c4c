package oci

import (
	"errors"
	"fmt"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Options describe an image.
type Options struct {
	// Name with a tag, as pods write it: "gearman-operator:0.1.0" or "registry.example/app:1".
	// "latest" is refused: a kubelet would try to pull it.
	Name string
	// Architectures in Go's words; each has its own image in the index.
	Architectures []string
	// Layers of file arguments as ParseEntry reads them.
	Layers [][]string
	// Roots is the path to write the certificate authorities to; empty means none.
	Roots string
	// Created dates every file and the image.
	Created time.Time

	User       string
	Entrypoint []string
	Cmd        []string
	Env        []string
	Labels     map[string]string
}

// fullName is the name as containerd keeps it: with Docker Hub's implied registry and folder spelt
// out.
func (o Options) fullName() (name, tag string, err error) {
	name = o.Name
	slash := strings.LastIndex(name, "/")
	colon := strings.LastIndex(name, ":")
	if colon <= slash || colon == len(name)-1 {
		return "", "", fmt.Errorf("image name %q has no tag: write NAME:TAG", o.Name)
	}
	tag = name[colon+1:]
	if tag == "latest" {
		return "", "", fmt.Errorf("image name %q: a kubelet always pulls the tag latest; use a version", o.Name)
	}
	host, _, hasFolder := strings.Cut(name, "/")
	switch {
	case !hasFolder:
		name = "docker.io/library/" + name
	case !strings.ContainsAny(host, ".:") && host != "localhost":
		name = "docker.io/" + name
	}
	return name, tag, nil
}

// Build makes the index with one image for each architecture.
func Build(o Options) (v1.ImageIndex, error) {
	if len(o.Architectures) == 0 {
		return nil, errors.New("no architecture: name at least one")
	}
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, arch := range o.Architectures {
		image, err := build(o, arch)
		if err != nil {
			return nil, fmt.Errorf("image for %s: %w", arch, err)
		}
		platform := &v1.Platform{OS: "linux", Architecture: arch}
		index = mutate.AppendManifests(
			index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: platform}},
		)
	}
	return index, nil
}

func build(o Options, arch string) (v1.Image, error) {
	var adds []mutate.Addendum
	add := func(entries []Entry, by string) error {
		l, err := layer(entries, o.Created)
		if err != nil {
			return err
		}
		adds = append(
			adds, mutate.Addendum{Layer: l, History: v1.History{Created: v1.Time{Time: o.Created}, CreatedBy: by}},
		)
		return nil
	}
	layers, err := o.entries(arch)
	if err != nil {
		return nil, err
	}
	for i, entries := range layers {
		by := "hack/image"
		if i == 0 && o.Roots != "" {
			by = "certificate authorities"
		}
		if err := add(entries, by); err != nil {
			return nil, err
		}
	}
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	image, err = mutate.ConfigFile(image, &v1.ConfigFile{
		Architecture: arch, OS: "linux", Created: v1.Time{Time: o.Created},
		RootFS: v1.RootFS{Type: "layers"},
		Config: v1.Config{
			User: o.User, Entrypoint: o.Entrypoint, Cmd: o.Cmd, Env: o.Env, Labels: o.Labels, WorkingDir: "/",
		},
	})
	if err != nil {
		return nil, err
	}
	return mutate.Append(image, adds...)
}

// entries gives what each layer of an architecture's image holds, the certificate authorities
// first.
func (o Options) entries(arch string) ([][]Entry, error) {
	var layers [][]Entry
	if o.Roots != "" {
		layers = append(layers, []Entry{{Path: o.Roots, Content: roots()}})
	}
	for _, files := range o.Layers {
		var entries []Entry
		for _, f := range files {
			e, err := ParseEntry(f, arch)
			if err != nil {
				return nil, err
			}
			entries = append(entries, e)
		}
		layers = append(layers, entries)
	}
	return layers, nil
}
