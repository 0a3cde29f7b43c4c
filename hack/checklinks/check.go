package main

import (
	"fmt"
	"io/fs"
	"net/url"
	"path"
	"regexp"
	"strings"
	"unicode"
)

// report is what check saw.
type report struct {
	files, links int
	broken       []string // "file:line: what is wrong"
}

var (
	// [text](target) and ![text](target "title"); [text]: target at the start of a line.
	inlineLink    = regexp.MustCompile(`\]\(\s*<?([^)>\s]+)>?(?:\s+"[^"]*")?\s*\)`)
	referenceLink = regexp.MustCompile(`^\s{0,3}\[[^\]]+\]:\s+<?([^>\s]+)>?`)
	heading       = regexp.MustCompile(`^#{1,6}\s+(.*?)\s*#*\s*$`)
	anchorTag     = regexp.MustCompile(`<a\s+(?:name|id)="([^"]+)"`)
	codeSpan      = regexp.MustCompile("`[^`]*`")
	linkText      = regexp.MustCompile(`!?\[([^\]]*)\]\([^)]*\)`)
)

// check reads every Markdown file of root but those in hidden, build and vendor directories.
func check(root fs.FS) (report, error) {
	var r report
	anchors := map[string]map[string]bool{} // by file, read when first needed

	err := fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && name != "." && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "build" ||
			entry.Name() == "node_modules" || entry.Name() == "vendor" || entry.Name() == "testdata"):
			return fs.SkipDir
		case entry.IsDir() || path.Ext(name) != ".md":
			return nil
		}
		text, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		r.files++
		eachProseLine(string(text), func(number int, line string) {
			for _, target := range targets(line) {
				r.links++
				if problem := resolve(root, anchors, name, target); problem != "" {
					r.broken = append(r.broken, fmt.Sprintf("%s:%d: %s: %s", name, number, target, problem))
				}
			}
		})
		return nil
	})
	return r, err
}

// eachProseLine calls f with the lines that are not inside a fenced code block.
func eachProseLine(text string, f func(number int, line string)) {
	fence, number := "", 0
	for line := range strings.SplitSeq(text, "\n") {
		number++
		trimmed := strings.TrimSpace(line)
		switch {
		case fence != "":
			if strings.HasPrefix(trimmed, fence) {
				fence = ""
			}
		case strings.HasPrefix(trimmed, "```"):
			fence = "```"
		case strings.HasPrefix(trimmed, "~~~"):
			fence = "~~~"
		default:
			f(number, line)
		}
	}
}

func targets(line string) []string {
	line = codeSpan.ReplaceAllString(line, "")
	var found []string
	for _, m := range inlineLink.FindAllStringSubmatch(line, -1) {
		found = append(found, m[1])
	}
	if m := referenceLink.FindStringSubmatch(line); m != nil {
		found = append(found, m[1])
	}
	return found
}

// resolve says what is wrong with a link, or nothing.
func resolve(root fs.FS, anchors map[string]map[string]bool, from, target string) string {
	link, err := url.Parse(target)
	if err != nil {
		return "not a URL"
	}
	if link.Scheme != "" || link.Host != "" {
		return ""
	}
	file := from
	if link.Path != "" {
		if strings.HasPrefix(link.Path, "/") {
			return "absolute path: link relative to the file"
		}
		file = path.Join(path.Dir(from), link.Path)
		if !fs.ValidPath(file) {
			return "leads out of the tree"
		}
		if _, err := fs.Stat(root, file); err != nil {
			return "no such file"
		}
	}
	if link.Fragment == "" || path.Ext(file) != ".md" {
		return ""
	}
	if anchors[file] == nil {
		text, err := fs.ReadFile(root, file)
		if err != nil {
			return err.Error()
		}
		anchors[file] = anchorsOf(string(text))
	}
	if !anchors[file][link.Fragment] {
		return "no such heading"
	}
	return ""
}

// anchorsOf are the names under which a file's headings can be linked, as GitHub makes them.
func anchorsOf(text string) map[string]bool {
	names := map[string]bool{}
	eachProseLine(text, func(_ int, line string) {
		for _, m := range anchorTag.FindAllStringSubmatch(line, -1) {
			names[m[1]] = true
		}
		m := heading.FindStringSubmatch(line)
		if m == nil {
			return
		}
		name := slug(m[1])
		unique := name
		for n := 1; names[unique]; n++ {
			unique = fmt.Sprintf("%s-%d", name, n)
		}
		names[unique] = true
	})
	return names
}

func slug(title string) string {
	title = linkText.ReplaceAllString(title, "$1")
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
			return unicode.ToLower(r)
		case r == ' ':
			return '-'
		}
		return -1
	}, title)
}
