package poolfile

import (
	"regexp"
	"strconv"
	"strings"
)

// twins are the CRD's rules in Go, by the text of the rule. Rules of some forms need none, see
// twinOf.
var twins = map[string]func(self any) bool{
	"size(self.metadata.name) <= 63": func(self any) bool {
		name, _ := get(self, "metadata", "name").(string)
		return len(name) <= 63
	},
	"has(self.function) != has(self.functions)": func(self any) bool {
		return has(self, "function") != has(self, "functions")
	},
	ruleImage: func(self any) bool { return has(self, "image") != has(self, "targetRef") },
	// A file has no previous state to compare with.
	"has(self.targetRef) == has(oldSelf.targetRef)": func(any) bool { return true },
	"!has(self.targetRef) || !(has(self.runtime) || has(self.command) || has(self.args) || has(self.env) || has(self.envFrom) || " +
		"has(self.resources) || has(self.imagePullPolicy) || has(self.podTemplate))": func(self any) bool {
		return !has(self, "targetRef") ||
			!hasAny(self, "runtime", "command", "args", "env", "envFrom", "resources", "imagePullPolicy", "podTemplate")
	},
	"!has(self.runtime) || !(has(self.command) || has(self.args))": func(self any) bool {
		return !has(self, "runtime") || !hasAny(self, "command", "args")
	},
	"self.minReplicas <= self.maxReplicas": func(self any) bool {
		return number(self, "minReplicas") <= number(self, "maxReplicas")
	},
	"!has(self.runtime) || !has(self.runtime.jobTimeoutSeconds) || !has(self.drainSeconds) || " +
		"self.runtime.jobTimeoutSeconds + 10 <= self.drainSeconds": func(self any) bool {
		return !has(self, "runtime", "jobTimeoutSeconds") || !has(self, "drainSeconds") ||
			number(self, "runtime", "jobTimeoutSeconds")+10 <= number(self, "drainSeconds")
	},
	"size(bytes(self)) <= 255": func(self any) bool {
		text, _ := self.(string)
		return len(text) <= 255
	},
	"(has(self.mode) && self.mode == 'Manual') == has(self.manualReplicas)": func(self any) bool {
		return (get(self, "mode") == "Manual") == has(self, "manualReplicas")
	},
	"(self.policy == 'Hold') != has(self.replicas)": func(self any) bool {
		return (get(self, "policy") == "Hold") != has(self, "replicas")
	},
	"has(self.minReplicas) || has(self.maxReplicas)": func(self any) bool {
		return hasAny(self, "minReplicas", "maxReplicas")
	},
	"!has(self.minReplicas) || !has(self.maxReplicas) || self.minReplicas <= self.maxReplicas": func(self any) bool {
		return !has(self, "minReplicas") || !has(self, "maxReplicas") ||
			number(self, "minReplicas") <= number(self, "maxReplicas")
	},
	"!self.matches(':[0-9]{1,5}$') || (int(self.substring(self.lastIndexOf(':') + 1)) >= 1 && " +
		"int(self.substring(self.lastIndexOf(':') + 1)) <= 65535)": func(self any) bool {
		text, _ := self.(string)
		if !serverPort.MatchString(text) {
			return true
		}
		port, err := strconv.Atoi(text[strings.LastIndexByte(text, ':')+1:])
		return err == nil && port >= 1 && port <= 65535
	},
}

var serverPort = regexp.MustCompile(":[0-9]{1,5}$")

// ruleImage is the rule that a machine without a cluster does not need: neither field has a meaning
// there.
const ruleImage = "has(self.image) != has(self.targetRef)"

// exactlyOne is a rule that exactly one of some fields is set, and hasField one of its fields.
var (
	exactlyOne = regexp.MustCompile(`^\[has\(self\.\w+\)(?:, has\(self\.\w+\))*\]\.filter\(x, x\)\.size\(\) == 1$`)
	hasField   = regexp.MustCompile(`has\(self\.(\w+)\)`)
)

// twinOf returns the twin of a rule, or nil. A rule that is a single match, or that exactly one of
// some fields is set, needs no twin in the table.
func twinOf(rule string) func(self any) bool {
	if twin, ok := twins[rule]; ok {
		return twin
	}
	if exactlyOne.MatchString(rule) {
		return func(self any) bool {
			n := 0
			for _, field := range hasField.FindAllStringSubmatch(rule, -1) {
				if has(self, field[1]) {
					n++
				}
			}
			return n == 1
		}
	}
	text, ok := strings.CutPrefix(rule, "self.matches('")
	text, end := strings.CutSuffix(text, "')")
	if !ok || !end || strings.Contains(text, "'") {
		return nil
	}
	pattern, err := regexp.Compile(strings.ReplaceAll(text, `\\`, `\`))
	if err != nil {
		return nil
	}
	return func(self any) bool {
		value, _ := self.(string)
		return pattern.MatchString(value)
	}
}

// get returns the value at a path of field names, or nil.
func get(value any, path ...string) any {
	for _, name := range path {
		fields, _ := value.(map[string]any)
		value = fields[name]
	}
	return value
}

func has(value any, path ...string) bool { return get(value, path...) != nil }

func hasAny(value any, names ...string) bool {
	for _, name := range names {
		if has(value, name) {
			return true
		}
	}
	return false
}

func number(value any, path ...string) float64 {
	n, _ := get(value, path...).(float64)
	return n
}
