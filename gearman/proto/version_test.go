package proto

import "testing"

func TestParseVersion(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		text    string
		dialect Dialect
		numbers [3]int
	}{
		// As the job servers report it: Debian's packages, and the sources' own format for the
		// others.
		"OK 1.1.20+ds": {"1.1.20+ds", Gearmand, [3]int{1, 1, 20}},
		"v1.130.1":     {"v1.130.1", Perl, [3]int{1, 130, 1}},
		"OK 1.1.22":    {"1.1.22", Gearmand, [3]int{1, 1, 22}},
		"OK 1.1.19.1":  {"1.1.19.1", Gearmand, [3]int{1, 1, 19}},
		"OK 0.33":      {"0.33", Gearmand, [3]int{0, 33}},
		"OK 2.0.0":     {"2.0.0", Gearmand2, [3]int{2}},
		"OK 2.1.0":     {"2.1.0", Gearmand2, [3]int{2, 1}},
		"OK 2.2.0":     {"2.2.0", Gearmand2, [3]int{2, 2}},
		// As packagers and developers may report it.
		"OK 2.0.0+ds-1":          {"2.0.0+ds-1", Gearmand2, [3]int{2}},
		"OK 2.0.0rc1":            {"2.0.0rc1", Gearmand2, [3]int{2}},
		"OK 2.2":                 {"2.2", Gearmand2, [3]int{2, 2}},
		"OK 2.2-dev":             {"2.2-dev", Gearmand2, [3]int{2, 2}},
		"OK 10.0.0":              {"10.0.0", Gearmand2, [3]int{10}},
		"OK 1.1.20 (ours)":       {"1.1.20 (ours)", Gearmand, [3]int{1, 1, 20}},
		"v2.0":                   {"v2.0", Perl, [3]int{2}},
		"OK":                     {},
		"OK ":                    {},
		"OK 2":                   {text: "2"}, // could be the response to any command
		"OK two.zero":            {text: "two.zero"},
		"OK +2.0.0":              {text: "+2.0.0"},
		"OK -1.1.20":             {text: "-1.1.20"},
		"OK v2.0.0":              {text: "v2.0.0"},
		"OK .1.2":                {text: ".1.2"},
		"OK 99999999999999.0.0":  {text: "99999999999999.0.0"},
		"OK 1.99999999999999.0":  {text: "1.99999999999999.0"},
		"v":                      {text: "v"},
		"verbose":                {text: "verbose"},
		"":                       {},
		"2.0.0":                  {text: "2.0.0"},
		"ERR UNKNOWN_COMMAND no": {text: "ERR UNKNOWN_COMMAND no"},
		"HTTP/1.1 400 Bad":       {text: "HTTP/1.1 400 Bad"},
	}
	for line, tt := range tests {
		if got, want := ParseVersion(line), (Version{tt.text, tt.dialect, tt.numbers}); got != want {
			t.Errorf("%q: got %+v, want %+v", line, got, want)
		}
	}
}

func TestVersionAtLeast(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		line  string
		of    [3]int
		want  bool
		after bool // 2.2.0 or later: "show unique jobs" has handles
	}{
		{line: "OK 1.1.20+ds", of: [3]int{1, 1, 20}, want: true},
		{line: "OK 1.1.20+ds", of: [3]int{1, 1, 21}},
		{line: "OK 1.1.20+ds", of: [3]int{1, 1, 3}, want: true},
		{line: "OK 1.1.20+ds", of: [3]int{2, 0, 0}},
		{line: "OK 2.1.9", of: [3]int{2, 1, 10}},
		{line: "OK 2.2.0", of: [3]int{2, 1, 10}, want: true, after: true},
		{line: "OK 2.10.0", of: [3]int{2, 9, 9}, want: true, after: true},
		{line: "OK 3.0.0", of: [3]int{2, 9, 9}, want: true, after: true},
		{line: "v1.130.1", of: [3]int{1, 130, 0}, want: true},
		{line: "v3.0.0", of: [3]int{2, 2, 0}, want: true}, // by its numbers, although it is another family
		{line: "nonsense", of: [3]int{0, 0, 0}},
	} {
		v := ParseVersion(tt.line)
		if got := v.AtLeast(tt.of[0], tt.of[1], tt.of[2]); got != tt.want {
			t.Errorf("%q at least %v: %v, want %v", tt.line, tt.of, got, tt.want)
		}
		if got := v.UniqueWithHandle(); got != tt.after {
			t.Errorf("%q: handles with unique keys: %v, want %v", tt.line, got, tt.after)
		}
	}
}

func TestDialects(t *testing.T) {
	t.Parallel()
	type capabilities struct{ requeues, delays, grabsUnique, exceptionEnds, cancels bool }
	likeGearmand := capabilities{requeues: true, delays: true, grabsUnique: true, exceptionEnds: true}
	tests := map[Dialect]struct {
		name string
		capabilities
	}{
		Unknown:   {"unknown", likeGearmand},
		Gearmand:  {"gearmand", capabilities{true, true, true, true, true}},
		Gearmand2: {"gearmand 2", likeGearmand},
		Perl:      {"Gearman::Server", capabilities{}},
		-1:        {"unknown", likeGearmand},
		99:        {"unknown", likeGearmand},
	}
	for d, want := range tests {
		got := capabilities{d.Requeues(), d.Delays(), d.GrabsUnique(), d.ExceptionEnds(), d.Cancels()}
		if d.String() != want.name || got != want.capabilities {
			t.Errorf("%d: %q with %+v, want %+v", d, d, got, want)
		}
	}
}
