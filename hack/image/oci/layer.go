package oci

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"path"
	"strconv"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// An Entry is one file, directory or symbolic link of a layer.
type Entry struct {
	// Path in the image, absolute.
	Path string
	// Source is the file on this machine whose content and permissions are taken. Empty for the
	// other kinds.
	Source string
	// Content is used where Source is empty and Link too.
	Content []byte
	// Link makes the entry a symbolic link to this target.
	Link string
	// Dir makes the entry a directory.
	Dir bool
	// Mode of permission bits, with 0o1000 for sticky; 0 means the source's own, else 0644 for
	// files and 0755 for directories.
	Mode int64
}

// ParseEntry reads "SOURCE:/PATH[:MODE]"; a SOURCE of "@TARGET" is a symbolic link and an empty one
// a directory. "{arch}" in SOURCE stands for the architecture.
func ParseEntry(s, arch string) (Entry, error) {
	parts := strings.Split(s, ":")
	if len(parts) < 2 || len(parts) > 3 || !path.IsAbs(parts[1]) {
		return Entry{}, fmt.Errorf("file %q: want SOURCE:/PATH[:MODE]", s)
	}
	e := Entry{Path: path.Clean(parts[1])}
	if len(parts) == 3 {
		mode, err := strconv.ParseInt(parts[2], 8, 64)
		if err != nil || mode < 0 || mode > 0o7777 {
			return Entry{}, fmt.Errorf("file %q: mode %q is not an octal number up to 7777", s, parts[2])
		}
		e.Mode = mode
	}
	source := strings.ReplaceAll(parts[0], "{arch}", arch)
	target, isLink := strings.CutPrefix(source, "@")
	switch {
	case source == "":
		e.Dir = true
	case isLink:
		e.Link = target
	default:
		e.Source = source
	}
	return e, nil
}

// layer packs the entries, with the directories above them, into one layer.
func layer(entries []Entry, created time.Time) (v1.Layer, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	made := map[string]bool{"/": true}
	for _, e := range entries {
		if err := parents(w, e.Path, made, created); err != nil {
			return nil, err
		}
		if e.Dir {
			made[e.Path] = true
		}
		if err := write(w, e, created); err != nil {
			return nil, fmt.Errorf("packing %s: %w", e.Path, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Bytes())), nil }
	return tarball.LayerFromOpener(open, tarball.WithMediaType(types.OCILayer), tarball.WithCompressedCaching)
}

func parents(w *tar.Writer, p string, made map[string]bool, created time.Time) error {
	dir := path.Dir(p)
	if made[dir] {
		return nil
	}
	if err := parents(w, dir, made, created); err != nil {
		return err
	}
	made[dir] = true
	return write(w, Entry{Path: dir, Dir: true}, created)
}

func write(w *tar.Writer, e Entry, created time.Time) error {
	h, content, err := e.header()
	if err != nil {
		return err
	}
	h.ModTime = created
	if err := w.WriteHeader(h); err != nil {
		return err
	}
	_, err = w.Write(content)
	return err
}

// header gives the entry as a tar file has it, without its date.
func (e Entry) header() (*tar.Header, []byte, error) {
	h := &tar.Header{Typeflag: tar.TypeReg, Name: strings.TrimPrefix(e.Path, "/"), Mode: e.Mode, Format: tar.FormatPAX}
	content := e.Content
	switch {
	case e.Dir:
		h.Typeflag, h.Name = tar.TypeDir, h.Name+"/"
		h.Mode = or(h.Mode, 0o755)
	case e.Link != "":
		h.Typeflag, h.Linkname, h.Mode = tar.TypeSymlink, e.Link, 0o777
	case e.Source != "":
		info, err := os.Stat(e.Source)
		if err != nil {
			return nil, nil, err
		}
		if content, err = os.ReadFile(e.Source); err != nil {
			return nil, nil, err
		}
		// Only whether it may be run counts: the other bits differ with the umask of who checked
		// the tree out.
		if info.Mode().Perm()&0o100 != 0 {
			h.Mode = or(h.Mode, 0o755)
		}
		h.Mode = or(h.Mode, 0o644)
	default:
		h.Mode = or(h.Mode, 0o644)
	}
	h.Size = int64(len(content))
	return h, content, nil
}

func or(mode, otherwise int64) int64 {
	if mode != 0 {
		return mode
	}
	return otherwise
}
