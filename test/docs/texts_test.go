package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// texts calls visit with each text of a Go file that people may read: its string literals of
// several words and, if api is set, its comments, from which the CRD's descriptions are made.
func texts(file *ast.File, api bool, visit func(at token.Pos, text string)) {
	ast.Inspect(file, func(n ast.Node) bool {
		if literal, ok := n.(*ast.BasicLit); ok && literal.Kind == token.STRING {
			if text, err := strconv.Unquote(literal.Value); err == nil && strings.Contains(text, " ") {
				visit(literal.Pos(), strings.Join(strings.Fields(text), " "))
			}
		}
		return true
	})
	if !api {
		return
	}
	for _, group := range file.Comments {
		visit(group.Pos(), strings.Join(strings.Fields(group.Text()), " "))
	}
}

// TestWordsOfTheProgram: flags, help, errors, log lines, conditions, events, metric help and the
// descriptions of the CRD use the words of the pages.
func TestWordsOfTheProgram(t *testing.T) {
	t.Parallel()
	files := token.NewFileSet()
	parsed := 0
	for _, part := range []string{"api", "cmd", "controllers", "gearman", "internal"} {
		err := filepath.WalkDir(filepath.Join(root, part), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(files, path, nil, parser.ParseComments)
			if err != nil {
				return err
			}
			parsed++
			texts(file, part == "api", func(at token.Pos, text string) {
				for _, problem := range wordProblems(text) {
					t.Errorf("%s: %s", files.Position(at), problem)
				}
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if parsed < 100 {
		t.Errorf("%d files read only", parsed)
	}
}

// TestWordsOfTheChart: the comments of the chart's values, its notes, and the texts of alerts and
// dashboards use the words of the pages.
func TestWordsOfTheChart(t *testing.T) {
	t.Parallel()
	found := 0
	err := filepath.WalkDir(filepath.Join(root, "charts"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) == ".md" {
			return err // the pages' test reads the Markdown files
		}
		found++
		lines := strings.Split(read(t, strings.TrimPrefix(path, root+"/")), "\n")
		for i, line := range lines {
			for _, problem := range wordProblems(line) {
				t.Errorf("%s:%d: %s", path, i+1, problem)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if found < 20 {
		t.Errorf("%d files read only", found)
	}
}

func TestTexts(t *testing.T) {
	t.Parallel()
	const source = "// Package p is mended.\npackage p\n\nvar x = \"two words\" + \"one\"\n\n// T is\n// a type.\ntype T struct {\n\tF int `y z`\n}\n"
	for api, want := range map[bool]map[string]bool{
		false: {"two words": true, "y z": true},
		true:  {"two words": true, "y z": true, "Package p is mended.": true, "T is a type.": true},
	} {
		files := token.NewFileSet()
		file, err := parser.ParseFile(files, "p.go", source, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]bool{}
		texts(file, api, func(_ token.Pos, text string) { got[text] = true })
		if !maps.Equal(got, want) {
			t.Errorf("api %v: %v, want %v", api, got, want)
		}
	}
}
