package cluster

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// The operator's release: its name, its Deployment's name, and its namespace.
const (
	Release           = "gearman-operator"
	OperatorNamespace = "gearman-system"
)

// OperatorLabels find the operator's pods.
var OperatorLabels = map[string]string{
	"app.kubernetes.io/name": "gearman-operator", "app.kubernetes.io/component": "manager",
}

// InstallOperator installs or upgrades the operator with its Helm chart, from an image that the
// cluster has, and waits until it is ready. archive is the image's archive: if its content changed
// under the same name, the operator's pod is replaced.
func (c *Cluster) InstallOperator(ctx context.Context, image, archive string, set ...string) error {
	// The tests read the metrics through the API server's proxy, which does not pass on the user's
	// identity.
	set = append([]string{"metrics.secure=false", "rbac.readSecrets=true"}, set...)
	return c.InstallChart(ctx, filepath.Join(Root(), "charts", "gearman-operator"), image, archive, set...)
}

// InstallChart is like InstallOperator, with another chart: an older one, or a package.
func (c *Cluster) InstallChart(ctx context.Context, chart, image, archive string, set ...string) error {
	colon := strings.LastIndex(image, ":")
	if colon < 0 {
		return fmt.Errorf("image %q has no tag: write NAME:TAG", image)
	}
	digest, err := fileDigest(archive)
	if err != nil {
		return err
	}
	args := []string{ // --take-ownership allows for a Lease that an operator made itself
		"upgrade", "--install", Release, chart, "--create-namespace", "--take-ownership", "--wait", "--timeout", "120s",
		"--set", "image.repository=" + image[:colon], "--set", "image.tag=" + image[colon+1:],
		"--set", "podAnnotations.image-digest=" + digest,
	}
	for _, s := range set {
		args = append(args, "--set", s)
	}
	if _, err := c.Helm(ctx, args...); err != nil {
		return fmt.Errorf("%w%s", err, c.OperatorLog(ctx, 30))
	}
	return nil
}

// Helm runs helm in the operator's namespace and returns its output. An error contains it too.
func (c *Cluster) Helm(ctx context.Context, args ...string) (string, error) {
	helm := os.Getenv("HELM")
	if helm == "" {
		return "", errors.New("HELM is not set: run this through make, or export HELM=$(command -v helm)")
	}
	var out bytes.Buffer
	cmd := exec.CommandContext(
		ctx, helm, append(args, "--kubeconfig", c.Kubeconfig, "--namespace", OperatorNamespace)...,
	)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("helm %s: %w\n%s", args[0], err, out.String())
	}
	return out.String(), nil
}

func fileDigest(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil))[:16], nil
}

// ScaleOperator sets the number of replicas of the operator.
func (c *Cluster) ScaleOperator(ctx context.Context, replicas int32) error {
	d := &appsv1.Deployment{}
	d.Namespace, d.Name = OperatorNamespace, Release
	return c.Client.Patch(ctx, d, client.RawPatch("application/merge-patch+json", fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, replicas)))
}

// OperatorReady returns an error with what is missing until an operator of the image is ready.
func (c *Cluster) OperatorReady(ctx context.Context) error {
	var d appsv1.Deployment
	if err := c.Client.Get(ctx, client.ObjectKey{Namespace: OperatorNamespace, Name: Release}, &d); err != nil {
		return err
	}
	if d.Status.ObservedGeneration < d.Generation || d.Status.UpdatedReplicas < *d.Spec.Replicas ||
		d.Status.ReadyReplicas < *d.Spec.Replicas || d.Status.Replicas > *d.Spec.Replicas {
		return fmt.Errorf("operator: %d of %d replicas ready", d.Status.ReadyReplicas, *d.Spec.Replicas)
	}
	return nil
}
