package workerruntime

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gearman-operator/gearman-operator/internal/telemetry"
)

// announced runs an announcer for some time and returns the ids that it set, with the time of each
// since the start.
func announced(
	t *testing.T, a *announcer, lasts time.Duration, act func(),
) (ids []telemetry.Report, at []time.Duration) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	begin := time.Now()
	renew := func(slot int) error {
		report, err := telemetry.Parse([]byte(a.clientID(slot)))
		if err != nil {
			t.Error(err)
		}
		ids, at = append(ids, report), append(at, time.Since(begin))
		return nil
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		a.run(ctx, renew, slog.New(slog.DiscardHandler))
	}()
	synctest.Wait()
	act()
	time.Sleep(lasts)
	cancel()
	<-done
	return ids, at
}

func testAnnouncer(t *testing.T, functions ...string) *announcer {
	t.Helper()
	a, err := newAnnouncer("0f4c1f3e-6c0e-4b62-9a53-0c9a8f5f6d21", "pod", time.Now(), 1, functions)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestEachFunctionIsToldAgain: the operator sees one id at each poll, so a worker of several
// functions reports each of them again and again, and one with trouble often.
func TestEachFunctionIsToldAgain(t *testing.T) {
	t.Parallel()
	for name, trouble := range map[string]byte{"idle": 0, "with trouble": telemetry.TroubleStart} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				a := testAnnouncer(t, "a", "b")
				ids, at := announced(t, a, 10*time.Minute, func() { a.trouble([]string{"a", "b"}, trouble) })
				told := map[uint32]int{}
				for i, id := range ids {
					if at[i] < time.Minute {
						continue // the news
					}
					if id.Trouble != trouble {
						t.Fatalf("trouble %q", id.Trouble)
					}
					told[id.Function]++
				}
				least, most := 20, 90 // of about 108 ids
				if trouble != 0 {
					least, most = 150, 400
				}
				for _, f := range []string{"a", "b"} {
					if n := told[telemetry.FunctionHash(f)]; n < least || n > most {
						t.Errorf("function %s was told of %d times in 9 minutes", f, n)
					}
				}
			})
		})
	}
}

// TestOneFunctionIsToldOnce: an idle worker of one function has nothing to report.
func TestOneFunctionIsToldOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := testAnnouncer(t, "a")
		ids, _ := announced(t, a, 10*time.Minute, func() { a.trouble([]string{"a"}, telemetry.TroubleStart) })
		if len(ids) < 1 || len(ids) > 2 {
			t.Errorf("%d ids", len(ids))
		}
	})
}
