package controlplane

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// Assets is the environment variable for the directory of the programs.
const Assets = "KUBEBUILDER_ASSETS"

// ControllerFlags are the flags of the kube-controller-manager, except for those that say how to
// reach the API server.
var ControllerFlags = []string{
	"--controllers=deployment-controller,replicaset-controller,statefulset-controller,garbage-collector-controller",
	"--leader-elect=false", "--secure-port=0",
	"--kube-api-qps=500", "--kube-api-burst=1000",
}

// Options are the options of a control plane.
type Options struct {
	// CRDs is the directory of the custom resource definitions to install.
	CRDs string
	// APIServerFlags are added to the flags that a test's API server has.
	APIServerFlags map[string]string
	// ControllerFlags are added to the package's, and override them.
	ControllerFlags []string
}

// ControlPlane is a running control plane.
type ControlPlane struct {
	Config     *rest.Config // of an administrator, without a limit on the rate of requests
	Kubeconfig string       // the same as a file, for processes

	// APIServer, Etcd and Controllers are the process ids.
	APIServer, Etcd, Controllers int

	env         *envtest.Environment
	controllers *exec.Cmd
	dir         string
}

// Start starts a control plane. The caller ends it with Stop.
func Start(o Options) (_ *ControlPlane, err error) {
	if os.Getenv(Assets) == "" {
		return nil, fmt.Errorf("%s is not set: run `make test`, or set it to the directory that `make envtest-assets` prints", Assets)
	}
	c := &ControlPlane{env: &envtest.Environment{
		CRDDirectoryPaths: []string{o.CRDs}, ErrorIfCRDPathMissing: true, ControlPlaneStartTimeout: 2 * time.Minute,
	}}
	// The API server waits this long for open watches when it is stopped.
	c.env.ControlPlane.GetAPIServer().Configure().Set("request-timeout", "10s")
	for flag, value := range o.APIServerFlags {
		c.env.ControlPlane.GetAPIServer().Configure().Append(flag, value)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Stop())
		}
	}()
	if c.Config, err = c.env.Start(); err != nil {
		return nil, fmt.Errorf("start the API server: %w", err)
	}
	c.Config.QPS = -1
	if c.dir, err = os.MkdirTemp("", "controlplane-"); err != nil {
		return nil, err
	}
	if _, c.Kubeconfig, err = c.AddUser("controllers", "system:masters"); err != nil {
		return nil, err
	}
	if err := c.startControllers(o.ControllerFlags); err != nil {
		return nil, fmt.Errorf("start the controller-manager: %w", err)
	}
	return c, nil
}

// AddUser adds a user to the API server, by certificate. The caller must grant the user's rights.
func (c *ControlPlane) AddUser(name string, groups ...string) (config *rest.Config, kubeconfig string, err error) {
	user, err := c.env.AddUser(envtest.User{Name: name, Groups: groups}, nil)
	if err != nil {
		return nil, "", err
	}
	data, err := user.KubeConfig()
	if err != nil {
		return nil, "", err
	}
	kubeconfig = filepath.Join(c.dir, strings.ReplaceAll(name, ":", "-")+".kubeconfig")
	return user.Config(), kubeconfig, os.WriteFile(kubeconfig, data, 0o600)
}

func (c *ControlPlane) startControllers(flags []string) error {
	log, err := os.Create(filepath.Join(c.dir, "log"))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(
		filepath.Join(os.Getenv(Assets), "kube-controller-manager"),
		append(append([]string{"--kubeconfig=" + c.Kubeconfig}, ControllerFlags...), flags...)...,
	)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // a canceled test leaves nothing behind
	if err := cmd.Start(); err != nil {
		return err
	}
	c.controllers, c.Controllers = cmd, cmd.Process.Pid
	c.APIServer, c.Etcd = child("kube-apiserver"), child("etcd")
	return nil
}

// child returns the process id of a child of this process by the name of its program, or 0 if there
// is none.
func child(program string) int {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended meanwhile
		}
		var pid, parent int
		var state string
		// The format is "PID (NAME) STATE PARENT ...", and a name may contain any bytes.
		open, end := strings.IndexByte(string(stat), '('), strings.LastIndexByte(string(stat), ')')
		if open < 0 || end < open || string(stat[open+1:end]) != program {
			continue
		}
		if _, err := fmt.Sscan(string(stat[:open]), &pid); err != nil {
			continue
		}
		if _, err := fmt.Sscan(string(stat[end+1:]), &state, &parent); err == nil && parent == os.Getpid() {
			return pid
		}
	}
	return 0
}

// Stop ends everything and removes its files.
func (c *ControlPlane) Stop() error {
	if c.controllers != nil {
		_ = c.controllers.Process.Kill()
		_ = c.controllers.Wait()
	}
	err := c.env.Stop()
	if c.dir != "" {
		err = errors.Join(err, os.RemoveAll(c.dir))
	}
	if err != nil {
		return fmt.Errorf("stop the control plane: %w", err)
	}
	return nil
}
