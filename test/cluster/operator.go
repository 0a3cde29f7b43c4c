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

// The operator's release: its name, that of its Deployment, and its namespace.
const (
	Release           = "gearman-operator"
	OperatorNamespace = "gearman-system"
)

// OperatorLabels find the operator's pods.
var OperatorLabels = map[string]string{"app.kubernetes.io/name": "gearman-operator", "app.kubernetes.io/component": "manager"}

// InstallOperator installs or upgrades the operator by its Helm chart, from an image that the cluster knows, and waits until it is
// ready. Archive is the image's archive: where its content changed under one name, the operator's pod is replaced.
func (c *Cluster) InstallOperator(ctx context.Context, image, archive string, set ...string) error {
	helm := os.Getenv("HELM")
	if helm == "" {
		return errors.New("HELM is not set: run this through make, or export HELM=$(command -v helm)")
	}
	colon := strings.LastIndex(image, ":")
	if colon < 0 {
		return fmt.Errorf("image %q has no tag: write NAME:TAG", image)
	}
	digest, err := fileDigest(archive)
	if err != nil {
		return err
	}
	args := []string{
		"upgrade", "--install", Release, filepath.Join(Root(), "charts", "gearman-operator"), "--kubeconfig", c.Kubeconfig,
		"--namespace", OperatorNamespace, "--create-namespace", "--wait", "--timeout", "120s",
		"--set", "image.repository=" + image[:colon], "--set", "image.tag=" + image[colon+1:],
		"--set", "podAnnotations.image-digest=" + digest,
	}
	for _, s := range set {
		args = append(args, "--set", s)
	}
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, helm, args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("helm: %w\n%s%s", err, out.String(), c.OperatorLog(ctx, 30))
	}
	return nil
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

// ScaleOperator sets how many replicas of the operator run.
func (c *Cluster) ScaleOperator(ctx context.Context, replicas int32) error {
	d := &appsv1.Deployment{}
	d.Namespace, d.Name = OperatorNamespace, Release
	return c.Client.Patch(ctx, d, client.RawPatch("application/merge-patch+json", fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, replicas)))
}

// OperatorReady says what is missing to a ready operator of the image.
func (c *Cluster) OperatorReady(ctx context.Context) error {
	var d appsv1.Deployment
	if err := c.Client.Get(ctx, client.ObjectKey{Namespace: OperatorNamespace, Name: Release}, &d); err != nil {
		return err
	}
	if d.Status.ObservedGeneration < d.Generation || d.Status.UpdatedReplicas < *d.Spec.Replicas || d.Status.ReadyReplicas < *d.Spec.Replicas || d.Status.Replicas > *d.Spec.Replicas {
		return fmt.Errorf("operator: %d of %d replicas ready", d.Status.ReadyReplicas, *d.Spec.Replicas)
	}
	return nil
}
