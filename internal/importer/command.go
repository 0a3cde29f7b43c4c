package importer

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
)

// NewCommand returns the command `import`, which kubectl-gearman and other programs mount.
func NewCommand() *cobra.Command {
	var o Options
	var format string
	var noDirectory bool
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Turn a configuration of GearmanManager or supervisord into pools",
		Long: `Turn a configuration of GearmanManager (INI, or its PHP array as JSON) or of supervisord into GearmanWorkerPools, as YAML on
standard output. Nothing is sent to a cluster. Settings that a pool cannot express become comments that begin with NOT CARRIED OVER.

FILE may be - for standard input.`,
		Example: `  kubectl gearman import manager.ini --server gearmand.jobs.svc:4730 --image registry.example.com/php-workers:1 >pools.yaml
  kubectl apply --dry-run=server -f pools.yaml
  kubectl gearman import supervisord.conf --function mailer=send_mail`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			data, err := readFile(cmd.InOrStdin(), args[0])
			if err != nil {
				return err
			}
			o.File, o.Format = filepath.Base(args[0]), Format(format)
			if !noDirectory {
				o.Functions = append(o.Functions, workerFiles(data, args[0])...)
			}
			r, err := Import(data, o)
			if err != nil {
				return err
			}
			out, err := r.YAML()
			if err != nil {
				return err
			}
			if _, err := cmd.OutOrStdout().Write(out); err != nil {
				return err
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "%s, %s not carried over (see the comments).\n",
				count(int32(r.Pools()), "pool", "pools"), count(int32(r.Notes()), "setting", "settings"))
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringVar(
		&format, "format", "", "format of the file: gearmanmanager or supervisor (detected from the file by default)",
	)
	flags.StringVar(&o.Image, "image", "", "image of the pools")
	flags.StringSliceVar(&o.Servers, "server", nil, "job servers of the pools, instead of those in the file")
	flags.StringSliceVar(
		&o.Functions, "function", nil,
		"function that the file doesn't name: FUNCTION for GearmanManager, PROGRAM=FUNCTION for supervisord",
	)
	flags.BoolVar(&o.PEAR, "pear", false, "GearmanManager's workers are classes Net_Gearman_Job_*")
	flags.BoolVar(&noDirectory, "no-worker-dir", false, "don't look for worker files in GearmanManager's worker_dir")
	return cmd
}

func readFile(stdin io.Reader, name string) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(stdin)
	}
	return os.ReadFile(name)
}

// workerFiles returns the functions that GearmanManager would find in its worker directories, as
// far as they are on this machine. Like GearmanManager it uses the names of the files.
func workerFiles(data []byte, file string) []string {
	if format, err := detect(data); err != nil || format != GearmanManager {
		return nil
	}
	m, err := readManager(data, Options{})
	if err != nil {
		return nil // Import reports the error
	}
	var names []string
	for _, dir := range m.main.list("worker_dir") {
		if !filepath.IsAbs(dir) {
			dir = filepath.Join(filepath.Dir(file), dir)
		}
		files, err := filepath.Glob(filepath.Join(dir, "*.php"))
		if err != nil {
			continue
		}
		for _, f := range files {
			names = append(names, strings.TrimSuffix(filepath.Base(f), ".php"))
		}
	}
	return names
}
