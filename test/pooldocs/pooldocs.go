// Package pooldocs lists specs of pools that an API server must accept, or refuse with certain
// advice. The tests of the CRD use it with a real API server, and the tests of internal/poolfile
// with the checks that need none.
package pooldocs

import "strings"

// Document is the spec of a pool, as YAML.
type Document struct {
	Spec string
	// Want is part of the refusal. If empty, the spec must be accepted.
	Want string
}

// Base is the minimum that a spec must have.
const Base = "servers: [gearmand]\nfunction: f\nimage: i\n"

// Documents has an entry for each rule of the API.
var Documents = map[string]Document{
	"the least":         {Base, ""},
	"several functions": {"servers: [gearmand]\nfunctions: [a, b]\nimage: i\n", ""},
	"exec runtime":      {Base + "runtime: {exec: {command: [cat]}}\n", ""},
	"all address forms": {
		"servers: ['h', 'h.x:1', '[::1]', '[fe80::1]:65535', '10.0.0.1:4730']\nfunction: f\nimage: i\n", "",
	},
	"a name with other letters": {"servers: [h]\nfunction: 'größe/änderung'\nimage: i\n", ""},
	"target":                    {"servers: [h]\nfunction: f\ntargetRef: {kind: Deployment, name: d}\n", ""},
	"manual":                    {Base + "scaling: {mode: Manual, manualReplicas: 3}\n", ""},
	"schedule": {
		Base +
			"scaling: {schedules: [{name: day, start: '0 8 * * 1-5', durationSeconds: 3600, timeZone: Europe/Berlin, minReplicas: 2}]}\n",
		"",
	},
	"podTemplate with unknown part": {Base + "podTemplate: {spec: {nodeSelector: {a: b}}}\n", ""},

	"no function":         {"servers: [h]\nimage: i\n", "set exactly one of function"},
	"both function forms": {Base + "functions: [a]\n", "set exactly one of function"},
	"empty functions":     {"servers: [h]\nfunctions: []\nimage: i\n", "should have at least 1 items"},
	"functions, blank in one": {
		"servers: [h]\nfunctions: ['a b']\nimage: i\n", "must not contain white space or control characters",
	},
	"functions, one over 255": {
		"servers: [h]\nfunctions: ['" + strings.Repeat("é", 128) + "']\nimage: i\n",
		"must not be longer than 255 bytes",
	},
	"blank in function": {
		"servers: [h]\nfunction: 'a b'\nimage: i\n", "must not contain white space or control characters",
	},
	"newline in function": {
		"servers: [h]\nfunction: \"a\\nb\"\nimage: i\n", "must not contain white space or control characters",
	},
	"function over 255": {
		"servers: [h]\nfunction: '" + strings.Repeat("é", 128) + "'\nimage: i\n", "must not be longer than 255 bytes",
	},
	"no servers": {"function: f\nimage: i\n", "spec.servers: Required"},
	"bad server": {
		"servers: ['bad host:99999']\nfunction: f\nimage: i\n", "a job server is written host, host:port",
	},
	"server port":        {"servers: ['h:99999']\nfunction: f\nimage: i\n", "port must be from 1 to 65535"},
	"server port zero":   {"servers: ['h:0']\nfunction: f\nimage: i\n", "port must be from 1 to 65535"},
	"server with scheme": {"servers: ['tcp://h:1']\nfunction: f\nimage: i\n", "without a scheme"},
	"bare IPv6":          {"servers: ['fe80::1']\nfunction: f\nimage: i\n", "a job server is written"},
	"server twice":       {"servers: [h, h]\nfunction: f\nimage: i\n", "Duplicate value"},
	"no image":           {"servers: [h]\nfunction: f\n", "set exactly one of image"},
	"image and target":   {Base + "targetRef: {kind: Deployment, name: d}\n", "set exactly one of image"},
	"target of other kind": {
		"servers: [h]\nfunction: f\ntargetRef: {kind: DaemonSet, name: d}\n", "Unsupported value",
	},
	"target with env": {
		"servers: [h]\nfunction: f\ntargetRef: {kind: Deployment, name: d}\nenv: [{name: A, value: b}]\n",
		"with targetRef the pods belong to the target",
	},
	"min over max": {
		Base + "minReplicas: 5\nmaxReplicas: 2\n", "minReplicas must not be greater than maxReplicas",
	},
	"min over default max": {Base + "minReplicas: 11\n", "minReplicas must not be greater than maxReplicas"},
	"negative min":         {Base + "minReplicas: -1\n", "should be greater than or equal to 0"},
	"command with runtime": {
		Base + "command: [x]\nruntime: {exec: {command: [cat]}}\n",
		"with runtime the container's command is the operator's",
	},
	"runtime without mode": {Base + "runtime: {jobTimeoutSeconds: 3}\n", "set exactly one of exec"},
	"two runtime modes": {
		Base + "runtime: {exec: {command: [a]}, http: {url: 'http://x'}}\n", "set exactly one of exec",
	},
	"bad url": {Base + "runtime: {http: {url: 'ftp://x'}}\n", "url must start with"},
	"timeout over drain": {
		Base + "drainSeconds: 30\nruntime: {exec: {command: [a]}, jobTimeoutSeconds: 21}\n",
		"at least runtime.jobTimeoutSeconds + 10",
	},
	"manual without count": {Base + "scaling: {mode: Manual}\n", "mode Manual and manualReplicas go together"},
	"count without manual": {Base + "scaling: {manualReplicas: 2}\n", "mode Manual and manualReplicas go together"},
	"unknown mode":         {Base + "scaling: {mode: Turbo}\n", "Unsupported value"},
	"fallback without n":   {Base + "scaling: {fallback: {afterSeconds: 60, policy: Static}}\n", "need replicas"},
	"hold with n": {
		Base + "scaling: {fallback: {afterSeconds: 60, policy: Hold, replicas: 2}}\n", "Hold takes none",
	},
	"schedule sets nothing": {
		Base + "scaling: {schedules: [{name: a, start: '0 8 * * *', durationSeconds: 60}]}\n",
		"must set minReplicas, maxReplicas or both",
	},
	"schedule min over max": {
		Base +
			"scaling: {schedules: [{name: a, start: '0 8 * * *', durationSeconds: 60, minReplicas: 3, maxReplicas: 2}]}\n",
		"must not be greater than its maxReplicas",
	},
	"zero concurrency": {Base + "concurrency: 0\n", "should be greater than or equal to 1"},
	"zero target wait": {Base + "scaling: {targetWaitSeconds: 0}\n", "should be greater than or equal to 1"},
	"unknown field":    {Base + "replicas: 3\n", "unknown field"},
}
