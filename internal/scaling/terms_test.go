package scaling

import (
	"reflect"
	"strings"
	"testing"
)

// Each term has one entry in the table, whose key says in which unit a status has it.
func TestTermTable(t *testing.T) {
	t.Parallel()
	var terms Terms
	fields := reflect.ValueOf(&terms).Elem()
	if fields.NumField() != len(TermTable) {
		t.Fatalf("%d terms, %d entries", fields.NumField(), len(TermTable))
	}
	for i := range fields.NumField() {
		terms = Terms{}
		fields.Field(i).SetFloat(2.5)
		name := fields.Type().Field(i).Name
		var found *Term
		for key, n := range terms.ByKey() {
			if n == 0 {
				continue
			}
			if found != nil {
				t.Errorf("%s is both %s and %s", name, found.Key, key)
			}
			for k := range TermTable {
				if TermTable[k].Key == key {
					found = &TermTable[k]
				}
			}
			want, text := int64(2), "2"
			switch {
			case strings.HasSuffix(key, "MilliSlots"):
				want, text = 2500, "2.50"
			case strings.HasSuffix(key, "Milliseconds"):
				want, text = 2500, "2.5s"
			}
			if got := found.Format(n); n != want || got != text {
				t.Errorf("%s of 2.5 is %d, %q, want %d, %q", key, n, got, want, text)
			}
		}
		if found == nil {
			t.Errorf("%s has no entry", name)
		}
	}
}
