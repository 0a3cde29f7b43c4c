package oci

import (
	"archive/tar"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
)

// List tells what is in the image that an OCI archive holds for an architecture: one line for each
// file with its mode, owner, size, digest and path, sorted by path, and one for each setting that a
// container starts with. Dates are left out, and so is how the files are divided into layers.
func List(archive, arch string) ([]string, error) {
	dir, err := os.MkdirTemp("", "image-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if err := Unpack(archive, dir); err != nil {
		return nil, fmt.Errorf("unpacking %s: %w", archive, err)
	}
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		return nil, fmt.Errorf("%s is not an OCI archive: %w", archive, err)
	}
	image, err := find(index, arch)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", archive, err)
	}
	files := mutate.Extract(image)
	defer files.Close()
	lines, err := listFiles(files)
	if err != nil {
		return nil, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	c := config.Config
	lines = append(lines, "os "+config.OS+"/"+config.Architecture, "user "+c.User, "workdir "+c.WorkingDir,
		fmt.Sprintf("entrypoint %q", c.Entrypoint), fmt.Sprintf("cmd %q", c.Cmd))
	for _, name := range slices.Sorted(maps.Keys(c.Labels)) {
		if strings.HasPrefix(name, "io.buildah.") { // the tool's own
			continue
		}
		lines = append(lines, "label "+name+"="+c.Labels[name])
	}
	return lines, nil
}

// find looks for the image of an architecture in an index and those below it.
func find(index v1.ImageIndex, arch string) (v1.Image, error) {
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	for _, d := range manifest.Manifests {
		if d.MediaType.IsIndex() {
			below, err := index.ImageIndex(d.Digest)
			if err != nil {
				return nil, err
			}
			if image, err := find(below, arch); err == nil {
				return image, nil
			}
			continue
		}
		image, err := index.Image(d.Digest)
		if err != nil {
			return nil, err
		}
		config, err := image.ConfigFile()
		if err != nil {
			return nil, err
		}
		if config.Architecture == arch {
			return image, nil
		}
	}
	return nil, fmt.Errorf("no image for %s in it", arch)
}

func listFiles(r io.Reader) ([]string, error) {
	byPath := map[string]string{}
	for t := tar.NewReader(r); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		sum := sha256.New()
		if _, err := io.Copy(sum, t); err != nil {
			return nil, err
		}
		path := "/" + strings.Trim(strings.TrimPrefix(h.Name, "./"), "/")
		if path == "/" {
			continue // whether it is listed is the tool's choice
		}
		content := fmt.Sprintf("%d %x", h.Size, sum.Sum(nil))
		switch h.Typeflag {
		case tar.TypeDir:
			content = "dir"
		case tar.TypeSymlink:
			content = "-> " + h.Linkname
		}
		byPath[path] = fmt.Sprintf("%04o %d:%d %s %s", h.Mode&0o7777, h.Uid, h.Gid, path, content)
	}
	var lines []string
	for _, path := range slices.Sorted(maps.Keys(byPath)) {
		lines = append(lines, byPath[path])
	}
	return lines, nil
}

// Unpack writes the regular files of a tar file below dir.
func Unpack(file, dir string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	for t := tar.NewReader(f); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		if !filepath.IsLocal(h.Name) {
			return fmt.Errorf("%q leads out of the archive", h.Name)
		}
		to := filepath.Join(dir, h.Name)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		out, err := os.Create(to)
		if err != nil {
			return err
		}
		_, err = io.Copy(out, t)
		if err := errors.Join(err, out.Close()); err != nil {
			return err
		}
	}
}
