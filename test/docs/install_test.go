package docs

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// TestKustomizeOverlay builds the overlay that the page shows, on this tree's config/ instead of a
// released one: the runtime's image follows the operator's.
func TestKustomizeOverlay(t *testing.T) {
	t.Parallel()
	block := regexp.MustCompile("(?ms)^<!-- yaml: a kustomization -->\n```yaml\n(.*?)^```$").FindStringSubmatch(read(t, "docs/install.md"))
	if block == nil {
		t.Fatal("docs/install.md has no kustomization")
	}
	remote := regexp.MustCompile(`https://github\.com/gearman-operator/gearman-operator/(\S+)\?ref=\S+`)
	if !remote.MatchString(block[1]) {
		t.Fatalf("no remote base in\n%s", block[1])
	}
	base, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	relative, err := filepath.Rel(dir, base)
	if err != nil {
		t.Fatal(err)
	}
	disk := filesys.MakeFsOnDisk()
	if err := disk.WriteFile(
		dir+"/kustomization.yaml", remote.ReplaceAll([]byte(block[1]), []byte(relative+"/$1")),
	); err != nil {
		t.Fatal(err)
	}
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(disk, dir)
	if err != nil {
		t.Fatal(err)
	}
	const want = "registry.example.com/gearman-operator:0.1.0"
	for _, resource := range resources.Resources() {
		if resource.GetKind() != "Deployment" {
			continue
		}
		var deployment appsv1.Deployment
		if err := yaml.UnmarshalStrict([]byte(resource.MustYaml()), &deployment); err != nil {
			t.Fatal(err)
		}
		container := deployment.Spec.Template.Spec.Containers[0]
		if container.Image != want {
			t.Errorf("image = %s, want %s", container.Image, want)
		}
		for _, env := range container.Env {
			if env.Name == "RUNTIME_IMAGE" {
				if env.Value != want {
					t.Errorf("RUNTIME_IMAGE = %s, want %s", env.Value, want)
				}
				return
			}
		}
		t.Errorf("no RUNTIME_IMAGE in %v", container.Env)
		return
	}
	t.Error("no Deployment")
}

// TestPushesKeepEveryArchitecture: skopeo without --all drops all architectures but one.
func TestPushesKeepEveryArchitecture(t *testing.T) {
	t.Parallel()
	for _, page := range []string{"README.md", "docs/install.md", "docs/releasing.md"} {
		for line := range strings.Lines(read(t, page)) {
			if strings.Contains(line, "skopeo copy") && !strings.Contains(line, "--all") {
				t.Errorf("%s: %s", page, strings.TrimSpace(line))
			}
		}
	}
}

// TestPoolsHaveNoScaleSubresource: docs/howto/replicas.md says that pools have no scale
// subresource.
func TestPoolsHaveNoScaleSubresource(t *testing.T) {
	t.Parallel()
	var crd apiextensionsv1.CustomResourceDefinition
	if err := yaml.UnmarshalStrict(
		[]byte(read(t, "config/crd/bases/gearman.dev_gearmanworkerpools.yaml")), &crd,
	); err != nil {
		t.Fatal(err)
	}
	for _, version := range crd.Spec.Versions {
		if version.Subresources == nil || version.Subresources.Status == nil || version.Subresources.Scale != nil {
			t.Errorf("%s: subresources are %+v, want status only", version.Name, version.Subresources)
		}
	}
}
