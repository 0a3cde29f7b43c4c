package cluster

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseRuns(t *testing.T) {
	t.Parallel()
	at := func(ms int64) time.Time { return time.UnixMilli(ms) }
	for name, tc := range map[string]struct {
		lines   string
		want    []Run
		wantErr string
	}{
		"empty": {},
		"two jobs, one still running": {
			lines: "1 start a p1 H:1\n2 start b p2 H:2\n3 end a p1 H:1\n",
			want:  []Run{{ID: "a", Pod: "p1", Start: at(1), End: at(3)}, {ID: "b", Pod: "p2", Start: at(2)}},
		},
		"interrupted and run again elsewhere": {
			lines: "1 start a p1 H:1\n2 start a p2 H:1\n3 end a p2 H:1\n",
			want:  []Run{{ID: "a", Pod: "p1", Start: at(1)}, {ID: "a", Pod: "p2", Start: at(2), End: at(3)}},
		},
		"twice in one pod": {
			lines: "1 start a p/7 H\n2 end a p/7 H\n3 start a p/8 H\n4 end a p/8 H\n",
			want:  []Run{{ID: "a", Pod: "p", Start: at(1), End: at(2)}, {ID: "a", Pod: "p", Start: at(3), End: at(4)}},
		},
		"lines that were written twice": {
			lines: "1 start a p/7 H\n2 start a p/7 H\n3 end a p/7 H\n4 end a p/7 H\n",
			want:  []Run{{ID: "a", Pod: "p", Start: at(1), End: at(3)}},
		},
		"end without start": {lines: "1 end a p H\n", wantErr: "ends what never started"},
		"too short":         {lines: "1 end a\n", wantErr: "too few words"},
		"no time":           {lines: "x start a p\n", wantErr: "invalid syntax"},
		"unknown word":      {lines: "1 began a p\n", wantErr: "neither a start nor an end"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := parseRuns([]byte(tc.lines))
			if tc.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tc.wantErr) {
					t.Fatalf("got error %v, want one with %q", err, tc.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("runs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCountRuns(t *testing.T) {
	t.Parallel()
	end := time.UnixMilli(1)
	jobs := []Job{{ID: "once"}, {ID: "never"}, {ID: "twice"}, {ID: "interrupted"}, {ID: "interrupted and run again"}}
	runs := []Run{
		{ID: "once", End: end},
		{ID: "twice", End: end},
		{ID: "twice", End: end},
		{ID: "interrupted"},
		{ID: "interrupted and run again"},
		{ID: "interrupted and run again", End: end},
		{ID: "somebody else's", End: end},
	}
	want := Count{Completed: 3, Lost: 2, RunTwice: 2, Interrupted: 2}
	if diff := cmp.Diff(want, CountRuns(jobs, runs)); diff != "" {
		t.Errorf("count (-want +got):\n%s", diff)
	}
}

func TestWaitSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	looks := 0
	err := Wait(ctx, func(ctx context.Context) error {
		looks++
		if looks == 2 {
			cancel()
			return ctx.Err()
		}
		return errors.New("two workers are missing")
	})
	if err == nil || !strings.Contains(err.Error(), "two workers are missing") {
		t.Errorf("got %v, want what was missing before the time was up", err)
	}
	if err := Wait(t.Context(), func(context.Context) error { return nil }); err != nil {
		t.Errorf("got %v, want success at once", err)
	}
}
