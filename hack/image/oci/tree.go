package oci

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// WriteTree writes the files that the image has for its one architecture below dir instead, for a
// Dockerfile to copy.
func WriteTree(o Options, dir string) error {
	if len(o.Architectures) != 1 {
		return fmt.Errorf("a tree is of one architecture, got %v", o.Architectures)
	}
	layers, err := o.entries(o.Architectures[0])
	if err != nil {
		return err
	}
	for _, entries := range layers {
		for _, e := range entries {
			if err := e.put(dir, o.Created); err != nil {
				return fmt.Errorf("writing %s: %w", e.Path, err)
			}
		}
	}
	return nil
}

func (e Entry) put(dir string, created time.Time) error {
	file := filepath.Join(dir, e.Path)
	if err := makeDir(filepath.Dir(file)); err != nil {
		return err
	}
	h, content, err := e.header()
	if err != nil {
		return err
	}
	mode := fs.FileMode(h.Mode & 0o777)
	if h.Mode&0o1000 != 0 {
		mode |= fs.ModeSticky
	}
	switch {
	case e.Link != "":
		return os.Symlink(e.Link, file)
	case e.Dir:
		err = makeDir(file)
	default:
		err = os.WriteFile(file, content, 0o644)
	}
	return errors.Join(err, os.Chmod(file, mode), os.Chtimes(file, created, created))
}

// makeDir makes a directory and those above it, where they are missing, whatever the umask is.
func makeDir(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := makeDir(filepath.Dir(dir)); err != nil {
		return err
	}
	return errors.Join(os.Mkdir(dir, 0o755), os.Chmod(dir, 0o755))
}
