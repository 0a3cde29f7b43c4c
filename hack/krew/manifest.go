package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

const (
	home  = "https://github.com/gearman-operator/gearman-operator"
	begin = `apiVersion: krew.googlecontainertools.github.com/v1alpha2
kind: Plugin
metadata:
  name: gearman
spec:
  version: v%s
  homepage: %s
  shortDescription: Inspect Gearman job servers and worker pools
  description: |
    Shows the queues and workers of Gearman job servers, submits jobs, and explains, watches, pauses and scales the
    worker pools of gearman-operator.
  platforms:
`
	platform = `    - selector: {matchLabels: {os: %s, arch: %s}}
      uri: %s/releases/download/v%s/%s
      sha256: %x
      bin: %s
`
)

// manifest returns the manifest of the plugin for all its archives in a directory:
// kubectl-gearman_VERSION_OS_ARCH.tar.gz.
func manifest(version, dir string) (string, error) {
	archives, err := filepath.Glob(filepath.Join(dir, "kubectl-gearman_*.tar.gz"))
	if err != nil {
		return "", err
	}
	if len(archives) == 0 {
		return "", fmt.Errorf("%s has no kubectl-gearman_%s_OS_ARCH.tar.gz: build them first", dir, version)
	}
	var b strings.Builder
	fmt.Fprintf(&b, begin, version, home)
	for _, archive := range archives {
		name := filepath.Base(archive)
		rest, ok := strings.CutPrefix(strings.TrimSuffix(name, ".tar.gz"), "kubectl-gearman_"+version+"_")
		system, arch, both := strings.Cut(rest, "_")
		if !ok || !both || system == "" || arch == "" || strings.Contains(arch, "_") {
			return "", fmt.Errorf("%s is not named kubectl-gearman_%s_OS_ARCH.tar.gz: remove or rename it", name, version)
		}
		bin := "kubectl-gearman"
		if system == "windows" {
			bin += ".exe"
		}
		data, err := os.ReadFile(archive)
		if err != nil {
			return "", err
		}
		if err := holds(data, bin, "LICENSE"); err != nil {
			return "", fmt.Errorf("%s: %w", name, err)
		}
		fmt.Fprintf(&b, platform, system, arch, home, version, name, sha256.Sum256(data), bin)
	}
	return b.String(), nil
}

// holds checks that an archive has these files at its top, as krew installs them from there. The
// first one is the program and must be executable.
func holds(archive []byte, program string, others ...string) error {
	unzipped, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		return fmt.Errorf("it is no gzip file: %w", err)
	}
	modes := map[string]int64{}
	files := tar.NewReader(unzipped)
	for {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("it is no tar file: %w", err)
		}
		if header.Typeflag == tar.TypeReg {
			modes[strings.TrimPrefix(header.Name, "./")] = header.Mode
		}
	}
	for _, name := range append([]string{program}, others...) {
		if _, ok := modes[name]; !ok {
			return fmt.Errorf("it has no file %s: build the release anew", name)
		}
	}
	if modes[program]&0o111 == 0 {
		return fmt.Errorf("%s is not executable: build the release anew", program)
	}
	return nil
}
