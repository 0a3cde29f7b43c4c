package workload

import "testing"

func TestRefusal(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ message, want string }{
		"a quota": {
			`pods "export-5d8f7c9b4-x2k9q" is forbidden: exceeded quota: team, requested: cpu=1,pods=1, used: cpu=8,pods=9, ` +
				`limited: cpu=8,pods=9`,
			`pods "export-5d8f7c9b4-" is forbidden: exceeded quota: team, requested: cpu=1,pods=1, limited: cpu=8,pods=9`,
		},
		"an admission plugin": {
			`pods "export-5d8f7c9b4-x2k9q" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true`,
			`pods "export-5d8f7c9b4-" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true`,
		},
		"a webhook": {
			`admission webhook "images" denied the request: not signed`,
			`admission webhook "images" denied the request: not signed`,
		},
		"nothing": {},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := refusal(tt.message); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}
