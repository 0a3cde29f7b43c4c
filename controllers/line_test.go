package controllers

import (
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/types"
)

// TestLine: news goes first, each pool waits once, in the order in which it came.
func TestLine(t *testing.T) {
	t.Parallel()
	type step struct {
		do   string // put, news, remove
		pool string
	}
	tests := map[string]struct {
		steps []step
		want  []string
	}{
		"in order":          {[]step{{"put", "a"}, {"put", "b"}}, []string{"a", "b"}},
		"once":              {[]step{{"put", "a"}, {"put", "b"}, {"put", "a"}}, []string{"a", "b"}},
		"news first":        {[]step{{"put", "a"}, {"news", "b"}, {"put", "c"}, {"news", "d"}}, []string{"b", "d", "a", "c"}},
		"news of one":       {[]step{{"put", "a"}, {"put", "b"}, {"news", "b"}}, []string{"b", "a"}},
		"its time too":      {[]step{{"put", "a"}, {"news", "b"}, {"put", "b"}}, []string{"b", "a"}},
		"removed":           {[]step{{"put", "a"}, {"news", "b"}, {"put", "c"}, {"remove", "a"}, {"remove", "b"}}, []string{"c"}},
		"removed and again": {[]step{{"put", "a"}, {"remove", "a"}, {"put", "b"}, {"put", "a"}}, []string{"a", "b"}},
		"news, then not":    {[]step{{"news", "a"}, {"remove", "a"}, {"put", "b"}, {"put", "a"}}, []string{"b", "a"}},
		"none":              {nil, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var l line
			for range 2 { // used again when it was empty
				for _, s := range tt.steps {
					key := types.NamespacedName{Name: s.pool}
					if s.do == "remove" {
						l.remove(key)
					} else {
						l.put(key, s.do == "news")
					}
				}
				var got []string
				for key, ok := l.take(); ok; key, ok = l.take() {
					got = append(got, key.Name)
				}
				if !slices.Equal(got, tt.want) {
					t.Errorf("got %v, want %v", got, tt.want)
				}
			}
			if len(l.in) > 0 {
				t.Errorf("kept: %v", l.in)
			}
		})
	}
}
