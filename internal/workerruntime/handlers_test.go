package workerruntime

import (
	"reflect"
	"strings"
	"testing"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/options"
)

// TestModesAreTheSameEverywhere: each mode of the API is one of the runtime's commands, is in the
// help, and has handlers; and the API lacks no mode of the runtime.
func TestModesAreTheSameEverywhere(t *testing.T) {
	t.Parallel()
	missing := map[options.Mode]bool{}
	for name := range modes {
		missing[name] = true
	}
	fields := reflect.TypeFor[v1alpha1.RuntimeSpec]()
	for field := range fields.Fields() {
		if field.Type.Kind() != reflect.Pointer || field.Type.Elem().Kind() != reflect.Struct {
			continue
		}
		value := reflect.New(field.Type.Elem())
		target := setTarget(value.Elem())
		if target == "" {
			continue // not a mode
		}
		var spec v1alpha1.RuntimeSpec
		reflect.ValueOf(&spec).Elem().FieldByIndex(field.Index).Set(value)
		name, got := spec.Mode()
		if tag, _, _ := strings.Cut(field.Tag.Get("json"), ","); name != tag || strings.Join(got, "") != target {
			t.Errorf("the mode of the field %s is %q with %q, want %q", tag, name, got, target)
		}
		mode := options.Mode(name)
		delete(missing, mode)
		if modes[mode].make == nil || modes[mode].trouble == 0 {
			t.Errorf("mode %s has no handlers: add it to modes", mode)
		}
		if !mode.Known() || !strings.Contains(options.Overview(), "\n  gearman-worker "+name+" ") {
			t.Errorf("mode %s is not in the table of package options", mode)
		}
	}
	if len(missing) > 0 {
		t.Errorf("modes without a field in the API: %v", missing)
	}
	if name, target := (&v1alpha1.RuntimeSpec{}).Mode(); name != "" || target != nil {
		t.Errorf("a runtime without a mode has mode %q with %q", name, target)
	}
}

// setTarget sets what a mode runs, and returns it, or "" if the struct belongs to no mode.
func setTarget(mode reflect.Value) string {
	if command := mode.FieldByName("Command"); command.IsValid() {
		command.Set(reflect.ValueOf([]string{"/app/job"}))
		return "/app/job"
	}
	if url := mode.FieldByName("URL"); url.IsValid() {
		url.SetString("http://a/")
		return "http://a/"
	}
	return ""
}
