package options

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman"
)

// value is what was given for an option: one string, or several for lists.
type value []string

func (v value) text() string {
	if len(v) == 0 {
		return ""
	}
	return v[len(v)-1]
}

func (v value) boolean(dst *bool) (err error) {
	if *dst, err = strconv.ParseBool(v.text()); err != nil {
		return fmt.Errorf("%q is neither true nor false", v.text())
	}
	return nil
}

func (v value) number(dst *int, least, most int) (err error) {
	if *dst, err = strconv.Atoi(v.text()); err != nil || *dst < least || *dst > most {
		return fmt.Errorf("%q is not a whole number from %d to %d", v.text(), least, most)
	}
	return nil
}

func (v value) rate(dst *float64) error {
	var n int
	err := v.number(&n, 0, 1<<30)
	*dst = float64(n)
	return err
}

func (v value) duration(dst *time.Duration) (err error) {
	if *dst, err = time.ParseDuration(v.text()); err != nil || *dst < 0 {
		if _, err := strconv.ParseFloat(v.text(), 64); err == nil && *dst >= 0 {
			return fmt.Errorf("%q has no unit; write %ss for seconds or %sm for minutes", v.text(), v.text(), v.text())
		}
		return fmt.Errorf("%q is not a duration such as 90s, 5m or 1h30m", v.text())
	}
	return nil
}

var sizeUnits = []struct {
	suffix string
	bytes  int64
}{
	{"Ki", 1 << 10},
	{"Mi", 1 << 20},
	{"Gi", 1 << 30},
	{"KiB", 1 << 10},
	{"MiB", 1 << 20},
	{"GiB", 1 << 30},
	{"k", 1e3},
	{"M", 1e6},
	{"G", 1e9},
	{"", 1},
}

func (v value) size(dst *int64, least int64) error {
	for _, u := range sizeUnits {
		digits, ok := strings.CutSuffix(v.text(), u.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(digits, 10, 64)
		if err == nil && n >= 0 && n <= (1<<62)/u.bytes && n*u.bytes >= least {
			*dst = n * u.bytes
			return nil
		}
	}
	return fmt.Errorf("%q is not a size such as 4096, 512Ki, 64Mi or 2Gi", v.text())
}

func (v value) servers(dst *[]string) error {
	*dst = nil
	for _, s := range v {
		addr, err := address(s)
		if err != nil {
			return err
		}
		*dst = append(*dst, addr)
	}
	if len(*dst) == 0 {
		return fmt.Errorf("give at least one job server, as host or host:port")
	}
	return nil
}

// address adds the default port to a job server's address.
func address(s string) (string, error) {
	a, err := gearman.ParseAddress(s)
	return a.String(), err
}

func (v value) functions(dst *[]string) error {
	*dst = nil
	seen := map[string]bool{}
	for _, f := range v {
		if f == "" || len(f) > 255 {
			return fmt.Errorf("%q: a function's name has 1 to 255 bytes", f)
		}
		for i := range len(f) {
			if f[i] <= ' ' || f[i] == 0x7f {
				return fmt.Errorf("%q: a function's name has no white space or control characters", f)
			}
		}
		if seen[f] {
			return fmt.Errorf("function %q is given twice", f)
		}
		seen[f] = true
		*dst = append(*dst, f)
	}
	return nil
}

func (v value) headers(dst *[]string) error {
	for _, h := range v {
		name, _, ok := strings.Cut(h, ":")
		if !ok || name == "" || strings.ContainsAny(name, " \t\r\n") || strings.ContainsAny(h, "\r\n") {
			return fmt.Errorf("%q is not a header such as \"Authorization: Bearer x\"", h)
		}
	}
	*dst = v
	return nil
}

func envName(name string) string {
	return "GEARMAN_WORKER_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

// split divides a value of the environment into the parts of a list.
func (k Kind) split(s string) value {
	switch k {
	case List:
		return trimmed(strings.Split(s, ","))
	case Words:
		return strings.Fields(s)
	case Lines:
		return trimmed(strings.Split(s, "\n"))
	}
	return value{s}
}

func trimmed(in []string) (out value) {
	for _, s := range in {
		if s = strings.TrimSpace(s); s != "" {
			out = append(out, s)
		}
	}
	return out
}
