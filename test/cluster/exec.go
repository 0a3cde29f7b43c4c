package cluster

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/remotecommand"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Exec runs a command in a container of a pod and returns what it wrote.
func (c *Cluster) Exec(ctx context.Context, namespace, pod, container string, command ...string) (string, error) {
	url := c.API.CoreV1().RESTClient().Post().Resource("pods").Namespace(namespace).Name(pod).SubResource("exec").
		VersionedParams(
			&corev1.PodExecOptions{Container: container, Command: command, Stdout: true, Stderr: true},
			scheme.ParameterCodec,
		).URL()
	e, err := remotecommand.NewSPDYExecutor(c.Config, "POST", url)
	if err != nil {
		return "", err
	}
	var out, errOut bytes.Buffer
	if err := e.StreamWithContext(ctx, remotecommand.StreamOptions{Stdout: &out, Stderr: &errOut}); err != nil {
		return "", fmt.Errorf("%s in %s/%s: %w: %s", strings.Join(command, " "), namespace, pod, err, errOut.String())
	}
	return out.String(), nil
}

// AddFreezer adds a container next to gearmand that can stop and continue it, so that it behaves
// like a hung machine: connections stay, nothing answers. The job server restarts and loses its
// queue, so call AddFreezer first.
func (s *Stage) AddFreezer(ctx context.Context) error {
	patch := `{"spec":{"template":{"spec":{
	  "shareProcessNamespace": true,
	  "containers": [{"name": "freezer", "image": "gearman-demo:demo", "imagePullPolicy": "IfNotPresent", "command": ["/bin/sleep", "1000000"],
	    "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}}]}}}}`
	set := &unstructured.Unstructured{}
	set.SetAPIVersion("apps/v1")
	set.SetKind("StatefulSet")
	set.SetNamespace(s.Namespace)
	set.SetName("gearmand")
	if err := s.Client.Patch(
		ctx, set, client.RawPatch("application/strategic-merge-patch+json", []byte(patch)),
	); err != nil {
		return err
	}
	return Wait(ctx, func(ctx context.Context) error {
		if _, err := s.Exec(ctx, s.Namespace, "gearmand-0", "freezer", "/bin/true"); err != nil {
			return err
		}
		_, err := s.readyPod(ctx, s.Namespace, jobServerLabels)
		return err
	})
}

// Freeze stops the job server's process, Thaw continues it.
func (s *Stage) Freeze(ctx context.Context) error { return s.signal(ctx, "STOP") }

// Thaw continues a frozen job server.
func (s *Stage) Thaw(ctx context.Context) error { return s.signal(ctx, "CONT") }

func (s *Stage) signal(ctx context.Context, signal string) error {
	script := fmt.Sprintf(`for p in /proc/[0-9]*; do case $(cat $p/comm) in gearmand) kill -%s ${p#/proc/} && exit;; esac; done; echo no gearmand >&2; exit 1`, signal)
	_, err := s.Exec(ctx, s.Namespace, "gearmand-0", "freezer", "/bin/sh", "-c", script)
	return err
}
