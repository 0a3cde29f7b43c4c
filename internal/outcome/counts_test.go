package outcome

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestObserveFunctions(t *testing.T) {
	t.Parallel()
	type step []FunctionCounts
	tests := map[string]struct {
		steps []step
		want  []FunctionCounts
		total Counts
	}{
		"nothing has ended": {steps: []step{{{"f", Counts{}}}}},
		"what the counters show at first is new": {
			steps: []step{{{"f", Counts{Completed: 3, Retried: 1}}, {"g", Counts{}}}},
			want:  []FunctionCounts{{"f", Counts{Completed: 3, Retried: 1}}},
			total: Counts{Completed: 3, Retried: 1},
		},
		"each function by itself": {
			steps: []step{
				{{"f", Counts{Completed: 1}}, {"g", Counts{Failed: 1}}},
				{{"f", Counts{Completed: 2}}, {"g", Counts{Failed: 1, DeadLettered: 2}}},
			},
			want:  []FunctionCounts{{"f", Counts{Completed: 2}}, {"g", Counts{Failed: 1, DeadLettered: 2}}},
			total: Counts{Completed: 2, Failed: 1, DeadLettered: 2},
		},
		"counters that went back have started anew": {
			steps: []step{
				{{"f", Counts{Completed: 9, Requeued: 2}}}, {{"f", Counts{Completed: 1}}}, {{"f", Counts{Completed: 4}}},
			},
			want:  []FunctionCounts{{"f", Counts{Completed: 12, Requeued: 2}}},
			total: Counts{Completed: 12, Requeued: 2},
		},
		"a function that is no longer served has no counts, the total keeps its jobs": {
			steps: []step{
				{{"f", Counts{Completed: 5}}, {"g", Counts{Completed: 1}}}, {{"g", Counts{Completed: 3}}},
			},
			want:  []FunctionCounts{{"g", Counts{Completed: 3}}},
			total: Counts{Completed: 8},
		},
		"a function that comes back begins at zero": {
			steps: []step{{{"f", Counts{Completed: 5}}}, {{"g", Counts{}}}, {{"f", Counts{Completed: 1}}}},
			want:  []FunctionCounts{{"f", Counts{Completed: 1}}},
			total: Counts{Completed: 6},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var w Window
			for i, s := range tt.steps {
				w.ObserveFunctions(start.Add(time.Duration(i)*time.Second), s)
			}
			if diff := cmp.Diff(tt.want, w.Functions()); diff != "" && len(tt.want)+len(w.Functions()) > 0 {
				t.Errorf("functions (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.total, w.Total()); diff != "" {
				t.Errorf("total (-want +got):\n%s", diff)
			}
		})
	}
}

// TestManyFunctions checks that a pool with many functions has few series, none of which decreases
// when functions are added or removed.
func TestManyFunctions(t *testing.T) {
	t.Parallel()
	var w Window
	var counters []FunctionCounts
	for i := range 64 {
		counters = append(counters, FunctionCounts{fmt.Sprintf("f%02d", i), Counts{Completed: 1}})
	}
	w.ObserveFunctions(start, counters)
	if got := w.Functions(); len(got) != MaxFunctions+1 || got[MaxFunctions] != (FunctionCounts{
		OtherFunctions, Counts{Completed: 64 - MaxFunctions},
	}) {
		t.Fatalf("%d lists, the last is %+v", len(got), got[len(got)-1])
	}
	held := w.Functions()
	// f00 to f04 are removed; five of the others stay in the sum, or the sum would decrease.
	counters = counters[5:]
	for i := range counters {
		counters[i].Completed = 3
	}
	w.ObserveFunctions(start.Add(time.Second), counters)
	got := w.Functions()
	want := Counts{Completed: (64 - MaxFunctions) * 3}
	if len(got) != MaxFunctions-5+1 || got[0].Function != "f05" || got[len(got)-1].Counts != want {
		t.Errorf("%+v", got)
	}
	if held[0] != (FunctionCounts{"f00", Counts{Completed: 1}}) {
		t.Errorf("a list that was read before has changed: %+v", held[0])
	}
	// A new function gets a free name of its own.
	w.ObserveFunctions(start.Add(2*time.Second), append(counters, FunctionCounts{"new", Counts{Failed: 1}}))
	if got := w.Functions(); got[len(got)-2] != (FunctionCounts{"new", Counts{Failed: 1}}) {
		t.Errorf("%+v", got)
	}
	if got := w.Total(); got != (Counts{Completed: 64 + 59*2, Failed: 1}) {
		t.Errorf("total %+v", got)
	}
}

func TestResults(t *testing.T) {
	t.Parallel()
	c := Counts{Completed: 1, Failed: 2, DeadLettered: 4, Requeued: 8, Retried: 16}
	var sum int64
	for _, r := range Results {
		sum += r.Of(c)
	}
	if sum != 31 || len(Results) != 5 {
		t.Errorf(
			"the %d results sum up to %d, want 31 of 5: Results lacks a count, or this test lacks a number for one",
			len(Results), sum,
		)
	}
	if got := c.AllFailed(); got != 6 {
		t.Errorf("%d failed", got)
	}
	if got := c.FailedShare(); got != 6./7 {
		t.Errorf("share %v", got)
	}
}
