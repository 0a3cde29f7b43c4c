package kubectlgearman

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/internal/cli"
	"github.com/gearman-operator/gearman-operator/internal/importer"
	"github.com/gearman-operator/gearman-operator/internal/version"
)

// plugin is what all commands share.
type plugin struct {
	genericiooptions.IOStreams
	config   *genericclioptions.ConfigFlags
	terminal io.Writer // Out without sanitizing, for moving the cursor
}

// NewCommand returns the plugin's root command.
func NewCommand(streams genericiooptions.IOStreams) *cobra.Command {
	c := &plugin{IOStreams: streams, config: genericclioptions.NewConfigFlags(true), terminal: streams.Out}
	c.Out, c.ErrOut = cli.Sanitized(streams.Out), cli.Sanitized(streams.ErrOut)
	name := "kubectl gearman"
	if !strings.HasPrefix(filepath.Base(os.Args[0]), "kubectl-") {
		name = filepath.Base(os.Args[0])
	}
	root := &cobra.Command{
		Use:           "kubectl-gearman",
		Short:         "Inspect Gearman job servers and the worker pools that serve them",
		Annotations:   map[string]string{cobra.CommandDisplayNameAnnotation: name},
		Version:       version.Version,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetIn(c.In)
	root.SetOut(c.Out)
	root.SetErr(c.ErrOut)
	c.config.AddFlags(root.PersistentFlags())

	servers := &cli.Commands{
		In: c.In, Out: c.Out, ErrOut: c.ErrOut, Results: cli.Results(streams.Out), Program: name,
		Server: "svc/gearmand", Targets: targetHelp, Find: c.find, DeadLetterFunctions: c.deadLetterFunctions,
	}
	root.AddGroup(&cobra.Group{ID: "pools", Title: "Pools:"}, &cobra.Group{ID: "servers", Title: "Job servers:"})
	add := func(group string, commands ...*cobra.Command) {
		for _, command := range commands {
			command.GroupID = group
			root.AddCommand(command)
		}
	}
	add("pools", c.topCommand(), c.explainCommand(), c.historyCommand(), c.doctorCommand(), c.pauseCommand(), c.resumeCommand(), c.scaleCommand(),
		servers.UI(
			c.uiPools(name),
		), c.checkCommand(), c.renderCommand(), c.logsCommand(), c.reportCommand(), importer.NewCommand(),
		servers.Simulate())
	add(
		"servers", servers.Status(), servers.Jobs(), servers.Workers(), servers.Version(), servers.Submit(),
		servers.Cancel(), servers.Drop(), servers.Dead(), servers.Record(),
	)
	return root
}

// quiet keeps controller-runtime from complaining that no logger was set: problems are errors of
// the command.
var quiet = sync.OnceFunc(func() { log.SetLogger(logr.Discard()) })

// connect calls f with the cluster and the namespace that the flags select.
func (c *plugin) connect(f func(config *rest.Config, scheme *runtime.Scheme, namespace string) error) error {
	quiet()
	namespace, _, err := c.config.ToRawKubeConfigLoader().Namespace()
	if err != nil {
		return err
	}
	config, err := c.config.ToRESTConfig()
	if err != nil {
		return err
	}
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		return err
	}
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return err
	}
	return f(config, scheme, namespace)
}

// client returns a client of the selected cluster, and the selected namespace.
func (c *plugin) client() (api client.Client, namespace string, err error) {
	err = c.connect(func(config *rest.Config, scheme *runtime.Scheme, in string) (err error) {
		namespace = in
		api, err = client.New(config, client.Options{Scheme: scheme})
		return err
	})
	return api, namespace, err
}

// completePools offers the names of the namespace's pools for a command's first argument.
func (c *plugin) completePools(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	api, namespace, err := c.client()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var pools v1alpha1.GearmanWorkerPoolList
	if err := api.List(cmd.Context(), &pools, client.InNamespace(namespace)); err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	names := make([]string, len(pools.Items))
	for i, pool := range pools.Items {
		names[i] = pool.Name
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
