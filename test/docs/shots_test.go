package docs

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"sigs.k8s.io/yaml"

	"github.com/gearman-operator/gearman-operator/internal/kubectlgearman"
)

// shot returns the lines that a page shows as the output of a command, without the command.
func shot(t *testing.T, page, name string) []string {
	t.Helper()
	found := regexp.MustCompile("(?s)<!-- shot " + name + " -->\n```console\n[$] [^\n]*\n(.*?)\n```\n<!-- /shot -->").
		FindStringSubmatch(read(t, page))
	if found == nil {
		t.Fatalf("%s has no shot %s", page, name)
	}
	return strings.Split(found[1], "\n")
}

// TestColumnsOfTheREADME: the pools that the README shows have the columns of the
// CustomResourceDefinition.
func TestColumnsOfTheREADME(t *testing.T) {
	t.Parallel()
	var crd apiextensionsv1.CustomResourceDefinition
	file := "config/crd/bases/gearman.dev_gearmanworkerpools.yaml"
	if err := yaml.UnmarshalStrict([]byte(read(t, file)), &crd); err != nil {
		t.Fatal(err)
	}
	want := []string{"NAME"}
	for _, column := range crd.Spec.Versions[0].AdditionalPrinterColumns {
		if column.Priority == 0 {
			want = append(want, strings.ToUpper(column.Name))
		}
	}
	got := strings.Fields(shot(t, "README.md", "get")[0])
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("run make docs-shots: the columns of kubectl get (-want +shown):\n%s", diff)
	}
}

// TestShotsOfThePlugin: the tables that the page of the plugin shows of a real run have the
// plugin's columns. TestSamplesOfThePage checks its other samples.
func TestShotsOfThePlugin(t *testing.T) {
	t.Parallel()
	const page = "docs/kubectl-plugin.md"
	tables := map[string]string{
		"top":    part(t, "internal/kubectlgearman/top.go", "var topColumns = ", "\n}\n"),
		"status": part(t, "internal/cli/servers.go", "[]Column[statusRow]{", "\n\t\t},\n"),
	}
	for name, table := range tables {
		var want []string
		for _, column := range regexp.MustCompile(`\{Title: "([A-Z]+)",( Wide: true,)?`).FindAllStringSubmatch(table, -1) {
			if column[2] == "" {
				want = append(want, column[1])
			}
		}
		if got := strings.Fields(shot(t, page, name)[0]); !slices.Equal(got, want) {
			t.Errorf("run make docs-shots: %s shows the columns %q, the plugin prints %q", name, got, want)
		}
	}
}

// part returns the text between two texts of a file.
func part(t *testing.T, file, begin, end string) string {
	t.Helper()
	_, rest, found := strings.Cut(read(t, file), begin)
	middle, _, closed := strings.Cut(rest, end)
	if !found || !closed {
		t.Fatalf("%s has no part from %q to %q", file, begin, end)
	}
	return middle
}

// TestCommandsOfThePluginPage: the page of the plugin has each of its commands, and no other.
func TestCommandsOfThePluginPage(t *testing.T) {
	t.Parallel()
	page := read(t, "docs/kubectl-plugin.md")
	streams, _, _, _ := genericiooptions.NewTestIOStreams()
	for _, command := range kubectlgearman.NewCommand(streams).Commands() {
		if !command.Hidden && !strings.Contains(page, "kubectl gearman "+command.Name()) {
			t.Errorf("docs/kubectl-plugin.md says nothing of kubectl gearman %s", command.Name())
		}
	}
}
