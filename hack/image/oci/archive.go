package oci

import (
	"archive/tar"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
)

// Write builds the image and writes it as an OCI archive (an image layout in a tar file) that
// containerd, Docker, podman and skopeo read. The file appears whole or not at all. It returns the
// digest of the image's index.
func Write(o Options, file string) (v1.Hash, error) {
	name, tag, err := o.fullName()
	if err != nil {
		return v1.Hash{}, err
	}
	index, err := Build(o)
	if err != nil {
		return v1.Hash{}, err
	}
	dir, err := os.MkdirTemp(filepath.Dir(file), ".layout-")
	if err != nil {
		return v1.Hash{}, err
	}
	defer os.RemoveAll(dir)
	out, err := layout.Write(dir, empty.Index)
	if err != nil {
		return v1.Hash{}, fmt.Errorf("writing the image layout: %w", err)
	}
	// containerd names the image by the first annotation, skopeo and podman by the second.
	names := map[string]string{"io.containerd.image.name": name, "org.opencontainers.image.ref.name": tag}
	if err := out.AppendIndex(index, layout.WithAnnotations(names)); err != nil {
		return v1.Hash{}, fmt.Errorf("writing the image layout: %w", err)
	}
	tmp := dir + ".tar"
	defer os.Remove(tmp)
	if err := archive(dir, tmp); err != nil {
		return v1.Hash{}, fmt.Errorf("writing the archive: %w", err)
	}
	if err := os.Rename(tmp, file); err != nil {
		return v1.Hash{}, err
	}
	return index.Digest()
}

// archive writes the folder's files in the order of their names, with nothing that differs from one
// run to the next.
func archive(dir, file string) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	defer f.Close() // harmless after the Close below, whose error counts
	w := tar.NewWriter(f)
	err = filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if err := w.WriteHeader(
			&tar.Header{Typeflag: tar.TypeReg, Name: filepath.ToSlash(rel), Mode: 0o644, Size: info.Size()},
		); err != nil {
			return err
		}
		in, err := os.Open(p)
		if err != nil {
			return err
		}
		defer in.Close()
		_, err = io.Copy(w, in)
		return err
	})
	if err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return f.Close()
}
