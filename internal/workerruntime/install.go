package workerruntime

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/gearman-operator/gearman-operator/internal/workerruntime/process"
)

// installedName is the name of the installed program.
const installedName = "gearman-worker"

// install copies the running program into dir. It writes under another name first, so that a
// partial copy is never visible, and makes the copy readable for any user, since the container that
// runs it chooses its own.
func install(dir string) error {
	src, err := os.Open(process.Self())
	if err != nil {
		return err
	}
	defer src.Close()
	tmp, err := os.CreateTemp(dir, "."+installedName+"-")
	if err != nil {
		return fmt.Errorf("%w; give a directory that user %d may write to", err, os.Getuid())
	}
	defer os.Remove(tmp.Name()) // fails once renamed, as it should
	defer tmp.Close()
	if _, err := io.Copy(tmp, src); err != nil {
		return err
	}
	if err := tmp.Chmod(0o755); err != nil {
		return err
	}
	if err := tmp.Close(); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), filepath.Join(dir, installedName))
}
