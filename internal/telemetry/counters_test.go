package telemetry

import (
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
)

// Each field of Counters has an entry in the table, with a letter that no other field of an ID has.
func TestTableOfCounters(t *testing.T) {
	t.Parallel()
	var c Counters
	fields := reflect.ValueOf(&c).Elem()
	table := c.table()
	if fields.NumField() != len(table) {
		t.Fatalf("%d fields, %d entries", fields.NumField(), len(table))
	}
	letters := map[byte]bool{'u': true, 's': true, 'b': true, 'c': true, 'f': true, 'x': true, 'p': true}
	page, err := os.ReadFile("../../docs/telemetry.md")
	if err != nil {
		t.Fatal(err)
	}
	for i := range table {
		f := &table[i]
		if !strings.Contains(string(page), fmt.Sprintf("| `%c` |", f.key)) {
			t.Errorf("docs/telemetry.md lacks the letter %c", f.key)
		}
		if letters[f.key] {
			t.Errorf("two fields of an id have the letter %c", f.key)
		}
		letters[f.key] = true
		*f.value = int64(i + 1)
		if i > 0 && table[i-1].optional && !f.optional {
			t.Errorf("%c comes after an optional counter", f.key)
		}
	}
	seen := map[int64]bool{}
	for i := range fields.NumField() {
		v := fields.Field(i).Int()
		if v == 0 || seen[v] {
			t.Errorf("field %s has no entry of its own", fields.Type().Field(i).Name)
		}
		seen[v] = true
	}
}

// Operations on all counters apply to each of them.
func TestArithmeticOfCounters(t *testing.T) {
	t.Parallel()
	var low, high, sum Counters
	lowTable, highTable, sumTable := low.table(), high.table(), sum.table()
	for i := range lowTable {
		*lowTable[i].value, *highTable[i].value = int64(i), int64(3*i+1)
		*sumTable[i].value = int64(4*i + 1)
	}
	if got := low.Add(high); got != sum {
		t.Errorf("the sum is %+v, want %+v", got, sum)
	}
	if got := sum.Since(high); got != low {
		t.Errorf("since %+v: %+v, want %+v", high, got, low)
	}
	if got := low.Since(high); got != (Counters{}) {
		t.Errorf("a difference is negative: %+v", got)
	}
	if low.Before(low) {
		t.Error("a state is older than itself")
	}
	for i := range highTable {
		older := high
		table := older.table()
		*table[i].value--
		if !older.Before(high) || high.Before(older) {
			t.Errorf("%c: the smaller state is not the older one", table[i].key)
		}
		*table[i].value = table[i].limit + 1
		if !older.tooLarge() || high.tooLarge() {
			t.Errorf("%c: too large is %v above its limit, %v below", table[i].key, older.tooLarge(), high.tooLarge())
		}
	}
}
