package codec

import (
	"bytes"
	"crypto/md5" //nolint:gosec // Net_Gearman's keys are MD5 sums; they keep no secret
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// NetGearmanArg is how Net_Gearman passes arguments to a worker: scalars as their text, anything
// else as JSON. Its worker decodes the bytes as JSON if it can. If it can't, or if they decode to
// null, it uses the bytes as a string.
type NetGearmanArg struct{}

// Encode returns strings, byte slices, numbers and booleans as PHP would print them (true is 1,
// false is empty), and anything else as JSON.
func (NetGearmanArg) Encode(v any) ([]byte, error) {
	rv := reflect.ValueOf(v)
	switch rv.Kind() {
	case reflect.String:
		return []byte(rv.String()), nil
	case reflect.Bool:
		if rv.Bool() {
			return []byte{'1'}, nil
		}
		return nil, nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return strconv.AppendInt(nil, rv.Int(), 10), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return strconv.AppendUint(nil, rv.Uint(), 10), nil
	case reflect.Float32, reflect.Float64:
		return []byte(phpFloat(rv.Float(), 14)), nil
	}
	if b, ok := v.([]byte); ok {
		return b, nil
	}
	return phpJSON(v)
}

// Decode fills v as Net_Gearman's worker would decode data. A *[]byte gets the bytes unchanged. A
// *string gets the text of a JSON string, and the bytes of anything else, since PHP doesn't
// distinguish "12" from 12.
func (NetGearmanArg) Decode(data []byte, v any) error {
	return decodeLoosely(data, v)
}

// NetGearmanResult is how Net_Gearman returns results: as JSON, with anything other than an array
// wrapped as {"result": ...}. Its client always decodes JSON.
type NetGearmanResult struct{}

// Encode returns JSON, wrapped if it is neither an array nor an object.
func (NetGearmanResult) Encode(v any) ([]byte, error) {
	if b, ok := v.([]byte); ok { // a string to PHP, not the base64 of encoding/json
		v = string(b)
	}
	out, err := phpJSON(v)
	if err != nil {
		return nil, err
	}
	if out[0] == '[' || out[0] == '{' {
		return out, nil
	}
	return slices.Concat([]byte(`{"result":`), out, []byte{'}'}), nil
}

// Decode fills v. It unwraps the result unless v is a map, a struct or an any, which get the same
// value as in PHP. Net_Gearman decodes invalid JSON as null; here a *string or *[]byte gets the
// bytes unchanged, and any other type an error.
func (NetGearmanResult) Decode(data []byte, v any) error {
	if wrapsPlain(v) {
		var wrapper map[string]json.RawMessage
		if json.Unmarshal(data, &wrapper) == nil && len(wrapper) == 1 {
			if inner, ok := wrapper["result"]; ok {
				data = inner
			}
		}
	}
	if b, ok := v.(*[]byte); ok {
		var s string
		if json.Unmarshal(data, &s) == nil && !bytes.Equal(bytes.TrimSpace(data), []byte("null")) {
			*b = []byte(s)
			return nil
		}
	}
	return decodeLoosely(data, v)
}

func wrapsPlain(v any) bool {
	t := reflect.TypeOf(v)
	if t == nil || t.Kind() != reflect.Pointer {
		return false
	}
	switch t.Elem().Kind() {
	case reflect.Map, reflect.Struct, reflect.Interface:
		return false
	}
	return true
}

func decodeLoosely(data []byte, v any) error {
	switch v := v.(type) {
	case *[]byte:
		*v = data
		return nil
	case *string:
		if json.Unmarshal(data, v) != nil || len(data) == 0 || bytes.Equal(bytes.TrimSpace(data), []byte("null")) {
			*v = string(data)
		}
		return nil
	case *any:
		if err := json.Unmarshal(data, v); err != nil || *v == nil {
			*v = string(data)
		}
		return nil
	}
	if err := json.Unmarshal(data, v); err != nil {
		if b, ok := v.(*bool); ok { // PHP's false is the empty string, its true 1
			switch string(data) {
			case "", "0":
				*b = false
				return nil
			case "1":
				*b = true
				return nil
			}
		}
		return fmt.Errorf("decode %d bytes from Net_Gearman into %T: %w", len(data), v, err)
	}
	return nil
}

// phpJSON returns JSON without escapes for HTML, since PHP doesn't escape it either.
func phpJSON(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte{'\n'}), nil
}

// The job types that are part of Net_Gearman's default unique key.
const (
	NetGearmanNormal         = 1
	NetGearmanBackground     = 2
	NetGearmanHigh           = 3
	NetGearmanHighBackground = 4
	NetGearmanLow            = 5
	NetGearmanLowBackground  = 6
)

// NetGearmanKey returns the unique key (a gearman.Key) that Net_Gearman gives a task by default, so
// that equal tasks of Go and PHP clients are one job: the MD5 of the function, PHP's serialize() of
// the argument and the job type. It accepts strings, byte slices, integers, floats, booleans, nil,
// slices and maps. Maps are serialized with sorted keys, so a PHP array is equal only if its keys
// are in that order.
func NetGearmanKey(function string, arg any, jobType int) (string, error) {
	b := []byte(function)
	b, err := appendPHP(b, reflect.ValueOf(arg))
	if err != nil {
		return "", err
	}
	sum := md5.Sum(strconv.AppendInt(b, int64(jobType), 10)) //nolint:gosec // as above
	return hex.EncodeToString(sum[:]), nil
}

// appendPHP appends what PHP's serialize() returns for v.
func appendPHP(dst []byte, v reflect.Value) ([]byte, error) {
	if !v.IsValid() {
		return append(dst, "N;"...), nil
	}
	switch v.Kind() {
	case reflect.Bool:
		if v.Bool() {
			return append(dst, "b:1;"...), nil
		}
		return append(dst, "b:0;"...), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return fmt.Appendf(dst, "i:%d;", v.Int()), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		if v.Uint() > math.MaxInt64 {
			return nil, fmt.Errorf("%d: %w: PHP has no integer so large", v.Uint(), ErrType)
		}
		return fmt.Appendf(dst, "i:%d;", v.Uint()), nil
	case reflect.Float32, reflect.Float64:
		return fmt.Appendf(dst, "d:%s;", phpFloat(v.Float(), -1)), nil
	case reflect.String:
		return fmt.Appendf(dst, "s:%d:\"%s\";", v.Len(), v.String()), nil
	case reflect.Interface, reflect.Pointer:
		return appendPHP(dst, v.Elem())
	case reflect.Slice, reflect.Array:
		if v.Type().Elem().Kind() == reflect.Uint8 && v.Kind() == reflect.Slice {
			return fmt.Appendf(dst, "s:%d:\"%s\";", v.Len(), v.Bytes()), nil
		}
		dst = fmt.Appendf(dst, "a:%d:{", v.Len())
		for i := range v.Len() {
			var err error
			dst = fmt.Appendf(dst, "i:%d;", i)
			if dst, err = appendPHP(dst, v.Index(i)); err != nil {
				return nil, err
			}
		}
		return append(dst, '}'), nil
	case reflect.Map:
		return appendPHPMap(dst, v)
	}
	return nil, fmt.Errorf("serialize %s for PHP: %w", v.Type(), ErrType)
}

func appendPHPMap(dst []byte, v reflect.Value) ([]byte, error) {
	if v.Type().Key().Kind() != reflect.String {
		return nil, fmt.Errorf("serialize %s for PHP: %w: keys must be strings", v.Type(), ErrType)
	}
	keys := v.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
	dst = fmt.Appendf(dst, "a:%d:{", len(keys))
	for _, k := range keys {
		s := k.String()
		if n, err := strconv.ParseInt(s, 10, 64); err == nil && strconv.FormatInt(n, 10) == s {
			dst = fmt.Appendf(dst, "i:%d;", n) // PHP converts such keys to integers
		} else {
			dst = fmt.Appendf(dst, "s:%d:\"%s\";", len(s), s)
		}
		var err error
		if dst, err = appendPHP(dst, v.MapIndex(k)); err != nil {
			return nil, err
		}
	}
	return append(dst, '}'), nil
}

// phpFloat formats a number as PHP does with the given precision; -1 means as many digits as needed
// (serialize_precision).
func phpFloat(f float64, precision int) string {
	switch {
	case math.IsNaN(f):
		return "NAN"
	case math.IsInf(f, 1):
		return "INF"
	case math.IsInf(f, -1):
		return "-INF"
	}
	limit := 17 // PHP writes an exponent from this power of ten on
	if precision > 0 {
		limit = precision
		precision-- // strconv counts the digits after the point
	}
	mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(f, 'e', precision, 64), "e")
	exp, _ := strconv.Atoi(exponent) // the exponent is strconv's own output
	if strings.Contains(mantissa, ".") {
		mantissa = strings.TrimRight(strings.TrimRight(mantissa, "0"), ".")
	}
	if exp < -4 || exp >= limit {
		if !strings.Contains(mantissa, ".") {
			mantissa += ".0"
		}
		return fmt.Sprintf("%sE%+d", mantissa, exp)
	}
	digits := len(strings.ReplaceAll(strings.TrimPrefix(mantissa, "-"), ".", ""))
	return strconv.FormatFloat(f, 'f', max(digits-1-exp, 0), 64)
}
