package poolstatus

import "testing"

func TestFiguresMoved(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		from, to Figures
		want     bool
	}{
		"nothing":                   {Figures{Queued: 5}, Figures{Queued: 5}, false},
		"a tenth":                   {Figures{Queued: 100}, Figures{Queued: 110}, false},
		"more than a tenth up":      {Figures{Queued: 100}, Figures{Queued: 112}, true},
		"more than a tenth down":    {Figures{Running: 100}, Figures{Running: 89}, true},
		"from zero":                 {Figures{}, Figures{Running: 1}, true},
		"to zero":                   {Figures{Queued: 1}, Figures{}, true},
		"another boot time":         {Figures{Boot: 1000}, Figures{Boot: 2000}, true},
		"hardly another job time":   {Figures{Jobs: 1000}, Figures{Jobs: 1001}, false},
		"a job time where none was": {Figures{}, Figures{Jobs: 1}, true},
		"one down, another up":      {Figures{Queued: 10, Running: 10}, Figures{Queued: 20, Running: 10}, true},
		"a little of each of them": {
			Figures{Queued: 100, Running: 100, Boot: 100, Jobs: 100},
			Figures{Queued: 105, Running: 95, Boot: 101, Jobs: 99},
			false,
		},
		"the first failed job":       {Figures{Ended: 100}, Figures{Ended: 100, Failed: 1}, true},
		"the first retried job":      {Figures{Ended: 100}, Figures{Ended: 100, Retried: 1}, true},
		"the first late job":         {Figures{Ended: 100}, Figures{Ended: 100, Late: 1}, true},
		"one of ten is just a tenth": {Figures{Queued: 10}, Figures{Queued: 9}, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := tt.from.Moved(tt.to); got != tt.want {
				t.Errorf("moved: %v, want %v", got, tt.want)
			}
		})
	}
}
