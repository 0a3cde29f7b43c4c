// Command modproxy writes the modules of this repository into a directory that go takes as a module
// proxy (GOPROXY=file://DIR), as the tags gearman/VERSION and VERSION would publish them. What a
// consumer gets can so be checked before there is a tag.
//
//	go run ./hack/modproxy -out DIR -version v1.2.3
package main

import (
	"archive/zip"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
)

const root = "github.com/gearman-operator/gearman-operator"

func main() {
	out := flag.String("out", "", "the directory to write")
	version := flag.String("version", "", "the version of both modules, as v1.2.3")
	flag.Parse()
	if err := run(*out, *version); err != nil {
		fmt.Fprintln(os.Stderr, "modproxy:", err)
		os.Exit(1)
	}
}

func run(out, version string) error {
	if out == "" || version == "" {
		return errors.New("-out and -version are needed")
	}
	files, err := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard").Output()
	if err != nil {
		return fmt.Errorf("list the files: %w", err)
	}
	var present []string
	nested := map[string]bool{} // directories of other modules
	for f := range strings.SplitSeq(strings.TrimRight(string(files), "\x00"), "\x00") {
		if info, err := os.Lstat(f); err != nil || !info.Mode().IsRegular() {
			continue // deleted and not committed, or a link, which modules can't hold
		}
		present = append(present, f)
		if dir, name := path.Split(f); name == "go.mod" && dir != "" {
			nested[dir] = true
		}
	}
	for _, dir := range []string{"", "gearman/"} {
		if err := publish(out, version, dir, present, nested); err != nil {
			return err
		}
	}
	return nil
}

// publish writes the module in a directory ("" or "name/") the way a proxy serves it.
func publish(out, version, dir string, files []string, nested map[string]bool) error {
	module := strings.TrimSuffix(root+"/"+dir, "/")
	at := filepath.Join(out, filepath.FromSlash(module), "@v")
	if err := os.MkdirAll(at, 0o755); err != nil {
		return err
	}
	mod, err := os.ReadFile(dir + "go.mod")
	if err != nil {
		return err
	}
	for name, data := range map[string]string{
		"list": version + "\n", version + ".mod": string(mod),
		version + ".info": fmt.Sprintf("{%q: %q}\n", "Version", version),
	} {
		if err := os.WriteFile(filepath.Join(at, name), []byte(data), 0o644); err != nil {
			return err
		}
	}
	z, err := os.Create(filepath.Join(at, version+".zip"))
	if err != nil {
		return err
	}
	w := zip.NewWriter(z)
	prefix := module + "@" + version + "/"
	licensed := false
	for _, f := range files {
		rest, ok := strings.CutPrefix(f, dir)
		if !ok || within(f, dir, nested) {
			continue
		}
		licensed = licensed || rest == "LICENSE"
		if err := add(w, prefix+rest, f); err != nil {
			return err
		}
	}
	if !licensed { // go takes the repository's, too
		if err := add(w, prefix+"LICENSE", "LICENSE"); err != nil {
			return err
		}
	}
	return errors.Join(w.Close(), z.Close())
}

// within reports whether a file is of a module below dir.
func within(file, dir string, nested map[string]bool) bool {
	for at := path.Dir(file) + "/"; len(at) > len(dir) && at != "./"; at = path.Dir(strings.TrimSuffix(at, "/")) + "/" {
		if nested[at] {
			return true
		}
	}
	return false
}

func add(w *zip.Writer, name, file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	entry, err := w.Create(name)
	if err != nil {
		return err
	}
	_, err = io.Copy(entry, f)
	return err
}
