package codec

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/gearman-operator/gearman-operator/gearman/internal/check"
)

func TestNetGearmanArg(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		value any
		wire  string
		want  any // what a worker decodes into an any
	}{
		"string":         {"abc", "abc", "abc"},
		"numeric string": {"12", "12", 12.0},
		"bytes":          {[]byte{0, 255}, "\x00\xff", "\x00\xff"},
		"int":            {-3, "-3", -3.0},
		"uint":           {uint8(3), "3", 3.0},
		"float":          {1.5, "1.5", 1.5},
		"true":           {true, "1", 1.0},
		"false":          {false, "", ""},
		"nil":            {nil, "null", "null"},
		"list":           {[]int{1, 2}, "[1,2]", []any{1.0, 2.0}},
		"map":            {map[string]any{"a": "<b>"}, `{"a":"<b>"}`, map[string]any{"a": "<b>"}},
	}
	for name, tt := range tests {
		wire, err := NetGearman.Arg.Encode(tt.value)
		if err != nil || string(wire) != tt.wire {
			t.Errorf("%s: %q, %v, want %q", name, wire, err, tt.wire)
		}
		var got any
		if err := NetGearman.Arg.Decode(wire, &got); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := check.Diff(tt.want, got); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
	var b bool
	for wire, want := range map[string]bool{"1": true, "": false, "0": false, "true": true} {
		if err := NetGearman.Arg.Decode([]byte(wire), &b); err != nil || b != want {
			t.Errorf("bool of %q: %v, %v", wire, b, err)
		}
	}
	var n int
	if err := NetGearman.Arg.Decode([]byte("12"), &n); err != nil || n != 12 {
		t.Error(n, err)
	}
	if err := NetGearman.Arg.Decode([]byte("abc"), &n); err == nil {
		t.Error("abc is no int")
	}
	if _, err := NetGearman.Arg.Encode(func() {}); err == nil {
		t.Error("a function was encoded")
	}
}

func TestNetGearmanResult(t *testing.T) {
	t.Parallel()
	encode := map[string]struct {
		value any
		wire  string
	}{
		"string": {"abc", `{"result":"abc"}`},
		"bytes":  {[]byte("abc"), `{"result":"abc"}`},
		"int":    {7, `{"result":7}`},
		"nil":    {nil, `{"result":null}`},
		"list":   {[]string{"a"}, `["a"]`},
		"map":    {map[string]int{"n": 1}, `{"n":1}`},
	}
	for name, tt := range encode {
		if wire, err := NetGearman.Result.Encode(tt.value); err != nil || string(wire) != tt.wire {
			t.Errorf("%s: %q, %v, want %q", name, wire, err, tt.wire)
		}
	}
	if _, err := NetGearman.Result.Encode(make(chan int)); err == nil {
		t.Error("a channel was encoded")
	}
	var s string
	var raw []byte
	var n int
	var list []string
	var m map[string]any
	var a any
	decode := map[string]struct {
		wire string
		into any
		want any
	}{
		"wrapped string":         {`{"result":"abc"}`, &s, "abc"},
		"wrapped bytes":          {`{"result":"abc"}`, &raw, []byte("abc")},
		"wrapped int":            {`{"result":7}`, &n, 7},
		"list":                   {`["a"]`, &list, []string{"a"}},
		"map keeps the wrapping": {`{"result":7}`, &m, map[string]any{"result": 7.0}},
		"any keeps it":           {`{"result":7}`, &a, map[string]any{"result": 7.0}},
		"no JSON, string":        {`oops`, &s, "oops"},
		"no JSON, bytes":         {`oops`, &raw, []byte("oops")},
	}
	for name, tt := range decode {
		if err := NetGearman.Result.Decode([]byte(tt.wire), tt.into); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var got any
		switch p := tt.into.(type) {
		case *string:
			got = *p
		case *[]byte:
			got = *p
		case *int:
			got = *p
		case *[]string:
			got = *p
		case *map[string]any:
			got = *p
		case *any:
			got = *p
		}
		if diff := check.Diff(tt.want, got); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
	if err := NetGearman.Result.Decode([]byte("oops"), &m); err == nil {
		t.Error("oops is no map")
	}
}

func TestRawAndJSON(t *testing.T) {
	t.Parallel()
	var b []byte
	var s string
	var a any
	if err := errors.Join(
		Raw.Arg.Decode([]byte("x"), &b), Raw.Arg.Decode([]byte("x"), &s), Raw.Arg.Decode([]byte("x"), &a),
	); err != nil ||
		string(b) != "x" || s != "x" || a == nil {
		t.Error(b, s, a, err)
	}
	if err := Raw.Arg.Decode(nil, new(int)); !errors.Is(err, ErrType) {
		t.Error(err)
	}
	for _, v := range []any{"x", []byte("x")} {
		if out, err := Raw.Result.Encode(v); err != nil || string(out) != "x" {
			t.Error(out, err)
		}
	}
	if out, err := Raw.Result.Encode(nil); err != nil || len(out) != 0 {
		t.Error(out, err)
	}
	if _, err := Raw.Result.Encode(1); !errors.Is(err, ErrType) {
		t.Error(err)
	}
	kept := 7 // a job can complete without a result
	for _, c := range []Codec{JSON.Arg, JSON.Result} {
		if err := errors.Join(c.Decode(nil, &kept), c.Decode([]byte{}, &kept)); err != nil || kept != 7 {
			t.Errorf("no data: %v, %d", err, kept)
		}
	}
	out, err := JSON.Arg.Encode(map[string]int{"a": 1})
	var m map[string]int
	if err := errors.Join(err, JSON.Result.Decode(out, &m)); err != nil || m["a"] != 1 {
		t.Error(m, err)
	}
}

// TestAgreesWithPHP compares the results with PHP's own serialize, md5 and number formatting.
func TestAgreesWithPHP(t *testing.T) {
	t.Parallel()
	php, err := exec.LookPath("php")
	if err != nil {
		t.Fatal("php is not installed: run `make deps`, or `apt-get install php-cli`")
	}
	values := []any{
		nil, true, false, 0, -12, math.MaxInt64, 1.5, 0.1, 1e14, 1e15, 1e16, 1e17, 1e-4, 1e-5, 1.0 / 3,
		123456789012345678.0, -2.5, 1e100,
		"", "abc", "größe", "a\"b",
		[]int{1, 2, 3},
		[]string{},
		[]any{1, "a", nil, []bool{true}},
		map[string]any{"a": 1, "b": []string{"x"}, "7": "seven"},
	}
	in, err := json.Marshal(values)
	if err != nil {
		t.Fatal(err)
	}
	// JSON doesn't distinguish 1.0 from 1, so floats are passed as text.
	var code strings.Builder
	code.WriteString("$v = json_decode(stream_get_contents(STDIN), true);\n")
	for i, v := range values {
		if f, ok := v.(float64); ok {
			code.WriteString("$v[" + strconv.Itoa(i) + "] = " + strconv.FormatFloat(f, 'e', 17, 64) + ";\n")
		}
	}
	code.WriteString(`foreach ($v as $x) { if (is_array($x)) ksort($x, SORT_STRING); echo md5("f".serialize($x)."2"), " ", is_scalar($x) ? bin2hex("$x") : "-", "\n"; }`)
	cmd := exec.Command(php, "-d", "precision=14", "-d", "serialize_precision=-1", "-r", code.String())
	cmd.Stdin = bytes.NewReader(in)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(lines) != len(values) {
		t.Fatalf("%d lines for %d values", len(lines), len(values))
	}
	for i, v := range values {
		sum, text, _ := strings.Cut(lines[i], " ")
		key, err := NetGearmanKey("f", v, NetGearmanBackground)
		if err != nil || key != sum {
			t.Errorf("%#v: key %s, %v, PHP says %s", v, key, err, sum)
		}
		if text == "-" {
			continue
		}
		wire, err := NetGearman.Arg.Encode(v)
		if err != nil || strings.ToLower(text) != hexOf(wire) {
			t.Errorf("%#v: %q, %v, PHP says %s", v, wire, err, text)
		}
	}
	for _, v := range []any{
		struct{}{}, map[int]int{1: 1}, uint64(math.MaxUint64), []any{func() {}}, map[string]any{"a": struct{}{}},
	} {
		if _, err := NetGearmanKey("f", v, 1); !errors.Is(err, ErrType) {
			t.Errorf("%#v: %v", v, err)
		}
	}
}

func hexOf(b []byte) string {
	var out strings.Builder
	for _, c := range b {
		out.WriteString(strconv.FormatUint(uint64(c)>>4, 16) + strconv.FormatUint(uint64(c)&15, 16))
	}
	return out.String()
}

// FuzzNetGearman asserts that a worker can decode any bytes and send them back as a result, and
// that the client then decodes the same value.
func FuzzNetGearman(f *testing.F) {
	for _, s := range []string{"", "abc", "12", `"x"`, `{"result":1}`, `{"a":[1,2.5,null]}`, "null", "[", "\xff", `{"result":{"result":2}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var arg any
		if err := NetGearman.Arg.Decode(data, &arg); err != nil {
			t.Fatalf("a worker can't read %q: %v", data, err)
		}
		wire, err := NetGearman.Result.Encode(arg)
		if err != nil {
			t.Fatalf("%q was read as %#v, which can't be sent back: %v", data, arg, err)
		}
		var back any
		if err := NetGearman.Result.Decode(wire, &back); err != nil {
			t.Fatal(err)
		}
		switch arg.(type) {
		case map[string]any, []any:
		default:
			m, ok := back.(map[string]any)
			if !ok {
				t.Fatalf("%q came back as %q, unwrapped", data, wire)
			}
			back = m["result"]
		}
		if s, ok := arg.(string); ok && strings.ToValidUTF8(s, "\uFFFD") != s {
			return // JSON can't hold other bytes
		}
		if diff := check.Diff(arg, back); diff != "" {
			t.Fatalf("%q: %s", data, diff)
		}
	})
}
