package worker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman"
	"github.com/gearman-operator/gearman-operator/gearman/gearmantest"
	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

// runs records the runs of jobs, by payload.
type runs struct {
	mu       sync.Mutex
	attempts map[string][]int
	uniques  map[string]string
	at       map[string][]time.Time
	outcomes map[string][]Outcome
}

func newRuns() *runs {
	return &runs{
		attempts: map[string][]int{}, uniques: map[string]string{}, at: map[string][]time.Time{},
		outcomes: map[string][]Outcome{},
	}
}

func (r *runs) add(j *Job) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := string(j.Payload())
	r.attempts[p] = append(r.attempts[p], j.Attempt())
	r.at[p] = append(r.at[p], time.Now())
	r.uniques[p] = string(j.Key())
}

// times returns when the runs of a job began.
func (r *runs) times(payload string) []time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.at[payload])
}

func (r *runs) done(j *Job, d Done) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := string(j.Payload())
	r.outcomes[p] = append(r.outcomes[p], d.Outcome)
}

func (r *runs) of(payload string) (attempts []int, outcomes []Outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.attempts[payload]), slices.Clone(r.outcomes[payload])
}

// failing is a handler whose jobs fail until the attempt that their payload names: "3", "3
// something". "poison" never completes; "crash 3" crashes, "permanent" fails with Permanent set.
func (r *runs) failing(_ context.Context, j *Job) ([]byte, error) {
	r.add(j)
	word, rest, _ := strings.Cut(string(j.Payload()), " ")
	e := &gearman.JobError{Reason: "exit_code", Message: "exit code 1", Detail: []byte("why")}
	switch word {
	case "poison":
		return nil, e
	case "permanent":
		e.Permanent = true
		return nil, e
	case "panic":
		panic("oops")
	case "plain":
		return nil, errors.New("just so")
	case "crash":
		e.Crashed, e.Reason = true, "crashed"
		word, _, _ = strings.Cut(rest, " ")
	}
	n := 0
	_, _ = fmt.Sscan(word, &n)
	if j.Attempt() < n {
		return nil, e
	}
	return []byte("done"), nil
}

func TestRetry(t *testing.T) {
	t.Parallel()
	policy := RetryPolicy{
		Attempts: 4, CrashAttempts: 3, Backoff: 10 * time.Second, MaxBackoff: 15 * time.Second, DeadLetter: "dead",
	}
	for payload, tc := range map[string]struct {
		key      string
		policy   *RetryPolicy
		attempts []int
		last     Outcome
		reason   string // of the dead letter
	}{
		"1":             {"k", nil, []int{1}, Complete, ""},
		"3":             {"k", nil, []int{1, 2, 3}, Complete, ""},
		"3 no key":      {"", nil, []int{1, 2, 3}, Complete, ""},
		"3 payload key": {"-", nil, []int{1, 2, 3}, Complete, ""},
		"3 long key":    {strings.Repeat("k", 63), nil, []int{1, 2, 3}, Complete, ""},
		"3 marked key":  {"!k", nil, []int{1, 2, 3}, Complete, ""},
		"poison":        {"k", nil, []int{1, 2, 3, 4}, Buried, "exit_code"},
		"poison no key": {"", nil, []int{1, 2, 3, 4}, Buried, "exit_code"},
		"permanent":     {"k", nil, []int{1}, Buried, "exit_code"},
		"crash 3":       {"k", nil, []int{1, 2, 3}, Complete, ""},
		"crash 9":       {"k", nil, []int{1, 2, 3}, Buried, "crashed"},
		"panic":         {"k", nil, []int{1, 2, 3}, Buried, "panic"},
		"plain":         {"k", nil, []int{1, 2, 3, 4}, Buried, "failed"},
		"poison final":  {"k", &RetryPolicy{CrashAttempts: 3}, []int{1}, Fail, ""},
		"crash 9 bare":  {"k", &RetryPolicy{CrashAttempts: 3}, []int{1, 2, 3}, Fail, ""},
		"crash 3 bare":  {"k", &RetryPolicy{CrashAttempts: 3}, []int{1, 2, 3}, Complete, ""},
		"poison buried": {"k", &RetryPolicy{DeadLetter: "dead"}, []int{1}, Buried, "exit_code"},
	} {
		t.Run(payload, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := policy
				if tc.policy != nil {
					p = *tc.policy
				}
				s := gearmantest.NewServer(gearmantest.InMemory("10.0.0.1:4730"))
				r := newRuns()
				var letters [][]byte
				o := Options{Hooks: Hooks{JobDone: r.done}, ClientID: func(int) string { return "me" }}
				inBubble(t, o, []*gearmantest.Server{s}, map[string]Handler{"f": r.failing}, func(*Worker) {
					time.Sleep(time.Second)
					s.Submit("f", tc.key, []byte(payload))
					time.Sleep(5 * time.Minute)
					attempts, outcomes := r.of(payload)
					if !slices.Equal(attempts, tc.attempts) || len(outcomes) != len(attempts) ||
						outcomes[len(outcomes)-1] != tc.last {
						t.Errorf(
							"attempts %v with outcomes %v, want %v with %v in the end", attempts, outcomes, tc.attempts,
							tc.last,
						)
					}
					if n := s.Function("f").Total + s.Function("f"+RetrySuffix).Total; n != 0 {
						t.Errorf("%d jobs are left", n)
					}
					if got := r.uniques[payload]; got != tc.key && !strings.HasPrefix(got, hashedIdent) &&
						(tc.key != "-" || got != "") {
						t.Errorf("the handler sees the key %q, the client gave %q", got, tc.key)
					}
					letters = takeAll(t, s, "dead")
				}, Function{Retry: &p})
				if (tc.reason == "") != (len(letters) == 0) || len(letters) > 1 {
					t.Fatalf("%d dead letters", len(letters))
				}
				for _, l := range letters {
					d, body, err := ParseDeadLetter(l)
					if err != nil || string(body) != payload || d.Reason != tc.reason ||
						d.Attempts != len(tc.attempts) || d.Function != "f" ||
						d.Worker != "me" || d.Server != "10.0.0.1:4730" || d.FailedAt.IsZero() ||
						string(d.Key()) != tc.key {
						t.Errorf("dead letter %+v, payload %q, %v", d, body, err)
					}
				}
			})
		})
	}
}

// takeAll runs the jobs of a function and returns their payloads.
func takeAll(t *testing.T, s *gearmantest.Server, function string) (payloads [][]byte) {
	t.Helper()
	w, err := New(Options{Servers: []string{s.Addr()}, Dialer: s.DialContext, StopWhenEmpty: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Handle(Function{Name: function, Handler: func(_ context.Context, j *Job) ([]byte, error) {
		payloads = append(payloads, j.Payload())
		return nil, nil
	}}); err != nil {
		t.Fatal(err)
	}
	if err := w.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	return payloads
}

// TestRetryBackoff checks that a waiting job runs after its back-off: doubled, bounded, and at most
// a few seconds late.
func TestRetryBackoff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := gearmantest.NewServer(gearmantest.InMemory("10.0.0.1:4730"))
		r := newRuns()
		p := RetryPolicy{Attempts: 5, Backoff: 30 * time.Second, MaxBackoff: time.Minute}
		inBubble(t, Options{}, []*gearmantest.Server{s}, map[string]Handler{"f": r.failing}, func(*Worker) {
			s.Submit("f", "k", []byte("9"))
			time.Sleep(time.Second)
			if st, w := s.Function("f"), s.Function("f"+RetrySuffix); st.Total != 0 || w.Total != 1 {
				t.Errorf(
					"%+v, %+v: the job must wait outside of its own function, where it would count as work to do", st,
					w,
				)
			}
			time.Sleep(10 * time.Minute)
			at := r.times("9")
			if len(at) != 5 {
				t.Fatalf("%d runs", len(at))
			}
			for i, want := range []time.Duration{30, 60, 60, 60} {
				want *= time.Second
				if got := at[i+1].Sub(at[i]); got < want*4/5 || got > want*6/5+9*time.Second {
					t.Errorf("attempt %d came after %v, want about %v", i+2, got, want)
				}
			}
		}, Function{Retry: &p})
	})
}

// TestRetriesOfTwins checks that two jobs with the same payload stay two jobs.
func TestRetriesOfTwins(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"", "a"} {
		synctest.Test(t, func(t *testing.T) {
			s := gearmantest.NewServer(gearmantest.InMemory("10.0.0.1:4730"))
			r := newRuns()
			inBubble(t, Options{}, []*gearmantest.Server{s}, map[string]Handler{"f": r.failing}, func(*Worker) {
				for i := range 3 {
					k := key
					if k != "" {
						k += fmt.Sprint(i)
					}
					s.Submit("f", k, []byte("2"))
				}
				time.Sleep(time.Minute)
				if attempts, _ := r.of("2"); len(attempts) != 6 {
					t.Errorf("attempts %v of three jobs", attempts)
				}
			}, Function{Retry: &RetryPolicy{Attempts: 3, Backoff: time.Second}})
		})
	}
}

// TestRetryWithWaitingClients checks that a client that waits for a job with a key is told of the
// first failure, but of a crash only after three of them in the slot.
func TestRetryWithWaitingClients(t *testing.T) {
	t.Parallel()
	for payload, tc := range map[string]struct {
		attempts []int
		end      proto.Type
	}{
		"3":       {[]int{1}, proto.TypeWorkFail},
		"poison":  {[]int{1}, proto.TypeWorkFail},
		"crash 3": {[]int{1, 2, 3}, proto.TypeWorkComplete},
		"crash 9": {[]int{1, 2, 3}, proto.TypeWorkFail},
	} {
		t.Run(payload, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := gearmantest.NewServer(gearmantest.InMemory("10.0.0.1:4730"))
				r := newRuns()
				p := RetryPolicy{Attempts: 5, CrashAttempts: 5, Backoff: time.Second, DeadLetter: "dead"}
				inBubble(t, Options{}, []*gearmantest.Server{s}, map[string]Handler{"f": r.failing}, func(*Worker) {
					nc, err := s.DialContext(t.Context(), "tcp", "")
					if err != nil {
						t.Fatal(err)
					}
					var end proto.Type
					c := proto.NewConn(nc, proto.Limits{})
					if err := c.Exchange(t.Context(), proto.AppendSubmit(
						nil, proto.TypeSubmitJob, "f", "k", payload,
					), func(c *proto.Conn) error {
						for end != proto.TypeWorkComplete && end != proto.TypeWorkFail {
							p, err := c.Next()
							if err != nil {
								return err
							}
							end = p.Type
						}
						return nil
					}); err != nil {
						t.Fatal(err)
					}
					time.Sleep(time.Minute)
					if attempts, _ := r.of(payload); !slices.Equal(attempts, tc.attempts) || end != tc.end {
						t.Errorf("attempts %v, the client got %v, want %v and %v", attempts, end, tc.attempts, tc.end)
					}
					if n := s.Function("dead").Total; n != 0 {
						t.Errorf("%d dead letters of a job whose client knows", n)
					}
					_ = c.Close()
				}, Function{Retry: &p})
			})
		})
	}
}

// TestRetryWithoutConfirmation checks that a failed job is held while its job server confirms
// nothing, or doesn't report whether clients wait. The job is requeued when the worker stops: it is
// never lost.
func TestRetryWithoutConfirmation(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		drop  proto.Type
		heals bool
	}{
		"until it heals":                         {drop: proto.TypeSubmitJobEpoch, heals: true},
		"until the worker stops":                 {drop: proto.TypeSubmitJobEpoch},
		"clients unknown until it heals":         {drop: proto.TypeGetStatusUnique, heals: true},
		"clients unknown until the worker stops": {drop: proto.TypeGetStatusUnique},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := gearmantest.NewServer(gearmantest.InMemory("10.0.0.1:4730"))
				r := newRuns()
				inBubble(t, Options{
					Hooks: Hooks{JobDone: r.done},
				}, []*gearmantest.Server{s}, map[string]Handler{"f": func(ctx context.Context, j *Job) ([]byte, error) {
					if j.Attempt() == 1 {
						s.SetFault(gearmantest.Fault{DropOn: c.drop})
					}
					return r.failing(ctx, j)
				}}, func(w *Worker) {
					s.Submit("f", "k", []byte("2"))
					time.Sleep(time.Minute)
					if st := s.Function("f"); st.Running != 1 {
						t.Errorf("%+v: the job is not held", st)
					}
					if !c.heals {
						w.beginStop()
						time.Sleep(time.Minute)
						if st := s.Function("f"); st.Total != 1 || st.Running != 0 {
							t.Errorf("%+v: the job has not gone back", st)
						}
						if _, outcomes := r.of("2"); !slices.Equal(outcomes, []Outcome{Requeued}) {
							t.Errorf("outcomes %v", outcomes)
						}
						return
					}
					s.SetFault(gearmantest.Fault{})
					time.Sleep(time.Minute)
					if _, outcomes := r.of("2"); !slices.Equal(outcomes, []Outcome{Retried, Complete}) {
						t.Errorf("outcomes %v", outcomes)
					}
				}, Function{Retry: &RetryPolicy{Attempts: 2, Backoff: time.Second}})
			})
		})
	}
}

// TestNoRetryOnALostConnection checks that a job whose connection is lost while it runs isn't also
// submitted for its next attempt when it fails: its job server gives it to another worker.
func TestNoRetryOnALostConnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := gearmantest.NewServer(gearmantest.InMemory("10.0.0.1:4730"))
		r := newRuns()
		inBubble(t, Options{
			Hooks: Hooks{JobDone: r.done},
		}, []*gearmantest.Server{s}, map[string]Handler{"f": func(ctx context.Context, j *Job) ([]byte, error) {
			if len(r.times("2")) == 0 {
				time.Sleep(time.Second) // the reading is passed on meanwhile, so that the loss is detected
				s.CloseConnections()
				time.Sleep(time.Second)
			}
			return r.failing(ctx, j)
		}}, func(*Worker) {
			s.Submit("f", "k", []byte("2"))
			time.Sleep(time.Minute)
			if n := s.Stats().Requests[proto.TypeSubmitJobEpoch]; n != 1 {
				t.Errorf("the next attempt was submitted %d times, want once", n)
			}
			if attempts, outcomes := r.of("2"); !slices.Equal(outcomes, []Outcome{Lost, Retried, Complete}) {
				t.Errorf("attempts %v, outcomes %v", attempts, outcomes)
			}
		}, Function{Retry: &RetryPolicy{Attempts: 3, Backoff: time.Second}})
	})
}

// TestRetryOnAnotherServer checks that a second job server gets the next attempt if the job's own
// accepts none.
func TestRetryOnAnotherServer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, other := gearmantest.NewServer(
			gearmantest.InMemory("10.0.0.1:4730"),
		), gearmantest.NewServer(gearmantest.InMemory("10.0.0.2:4730"))
		r := newRuns()
		inBubble(t, Options{
			Hooks: Hooks{JobDone: r.done},
		}, []*gearmantest.Server{s, other}, map[string]Handler{"f": func(ctx context.Context, j *Job) ([]byte, error) {
			s.SetFault(gearmantest.Fault{DropOn: proto.TypeSubmitJobEpoch})
			return r.failing(ctx, j)
		}}, func(*Worker) {
			time.Sleep(time.Second)
			s.Submit("f", "k", []byte("2"))
			time.Sleep(time.Minute)
			if _, outcomes := r.of("2"); !slices.Equal(outcomes, []Outcome{Retried, Complete}) ||
				other.Stats().JobsAdded != 2 {
				t.Errorf("outcomes %v, %d jobs on the other server", outcomes, other.Stats().JobsAdded)
			}
		}, Function{Retry: &RetryPolicy{Attempts: 2, Backoff: time.Second}})
	})
}

// TestRetryOnPerlsServer checks that a failure is final on Perl's server, and that a crashed job
// runs again in its slot. Perl's server supports neither delays nor status by key.
func TestRetryOnPerlsServer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := gearmantest.NewServer(
			gearmantest.Options{InMemory: true, Addr: "10.0.0.1:4730", Dialect: gearmantest.Perl},
		)
		r := newRuns()
		inBubble(t, Options{
			Hooks: Hooks{JobDone: r.done},
		}, []*gearmantest.Server{s}, map[string]Handler{"f": r.failing}, func(*Worker) {
			time.Sleep(time.Second)
			s.Submit("f", "", []byte("2"))
			s.Submit("f", "", []byte("crash 3"))
			time.Sleep(time.Minute)
			for payload, want := range map[string]Outcome{"2": Fail, "crash 3": Complete} {
				if _, outcomes := r.of(payload); !slices.Equal(outcomes, []Outcome{want}) {
					t.Errorf("%s: outcomes %v", payload, outcomes)
				}
			}
		}, Function{Retry: &RetryPolicy{Attempts: 3, CrashAttempts: 3, Backoff: time.Second}})
	})
}

// TestRetryWithAFullQueue checks that waiting jobs go on waiting while the function's queue is
// full, and that none is lost.
func TestRetryWithAFullQueue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := gearmantest.NewServer(gearmantest.InMemory("10.0.0.1:4730"))
		r := newRuns()
		full := make(chan struct{})
		inBubble(t, Options{
			Concurrency: 2,
		}, []*gearmantest.Server{s}, map[string]Handler{"f": r.failing, "long": func(
			context.Context, *Job,
		) ([]byte, error) {
			<-full
			return nil, nil
		}}, func(w *Worker) {
			time.Sleep(time.Second)
			for i := range 5 {
				s.Submit("f", fmt.Sprint(i), fmt.Append(nil, "2 ", i))
			}
			time.Sleep(time.Second)
			if err := w.Admit(0, "f"); err != nil {
				t.Fatal(err)
			}
			maxqueue(t, s, "f", 1)
			s.Submit("f", "blocker", []byte("1"))
			time.Sleep(2 * time.Minute)
			if n := s.Function("f"+RetrySuffix).Total + s.Function("f").Total; n != 6 {
				t.Errorf("%d jobs, want 6", n)
			}
			maxqueue(t, s, "f", 0)
			if err := w.Admit(AllSlots, "f"); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * time.Minute)
			for i := range 5 {
				if attempts, _ := r.of(fmt.Sprint("2 ", i)); !slices.Equal(attempts, []int{1, 2}) {
					t.Errorf("job %d: attempts %v", i, attempts)
				}
			}
			close(full)
		}, Function{Retry: &RetryPolicy{Attempts: 2, Backoff: time.Second}})
	})
}

func maxqueue(t *testing.T, s *gearmantest.Server, function string, n int) {
	t.Helper()
	nc, err := s.DialContext(t.Context(), "tcp", "")
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	c := proto.NewConn(nc, proto.Limits{})
	if err := c.Exchange(t.Context(), fmt.Appendf(nil, "maxqueue %s %d\r\n", function, n), func(c *proto.Conn) error {
		_, err := c.ReadLine()
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

func TestRetryPolicyIsChecked(t *testing.T) {
	t.Parallel()
	for name, p := range map[string]RetryPolicy{
		"too many attempts": {Attempts: 21},
		"a negative number": {CrashAttempts: -1},
		"negative time":     {Backoff: -1},
		"itself":            {DeadLetter: "f"},
		"a bad name":        {DeadLetter: "a b"},
	} {
		w, err := New(Options{Servers: []string{"localhost"}})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Handle(Function{Name: "f", Handler: reverse, Retry: &p}); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	w, err := New(Options{Servers: []string{"localhost"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Handle(
		Function{Name: strings.Repeat("f", 250), Handler: reverse, Retry: &RetryPolicy{Attempts: 2, Backoff: 1}},
	); err == nil {
		t.Error("a name that leaves no room for the suffix is accepted")
	}
}

func TestSplitKey(t *testing.T) {
	t.Parallel()
	for unique, want := range map[string]struct {
		attempt int
		ident   string
	}{
		"":            {1, ""},
		"k":           {1, "k"},
		"gwr1.2.k":    {2, "k"},
		"gwr1.20.a.b": {20, "a.b"},
		"gwr1.1.k":    {1, "gwr1.1.k"}, // no worker writes such a key
		"gwr1.x.k":    {1, "gwr1.x.k"},
		"gwr1.2":      {1, "gwr1.2"},
		"gwr2.2.k":    {1, "gwr2.2.k"},
	} {
		if n, ident := splitKey(unique); n != want.attempt || ident != want.ident {
			t.Errorf("%q: attempt %d of %q, want %+v", unique, n, ident, want)
		}
	}
}

func TestDeadLetterIsBounded(t *testing.T) {
	t.Parallel()
	j := &Job{
		fn: &function{name: strings.Repeat("f", 200), wire: "f"}, server: "10.0.0.1:4730", handle: "H:x:1",
		key: "\xff\xfe", unique: "\xff\xfe", attempt: 1,
	}
	front, _, err := j.deadLetter(
		&gearman.JobError{
			Reason: "r", Message: strings.Repeat("\x01", 5000), Detail: []byte(strings.Repeat("\x02", 90_000)),
		},
		3, "w",
	)
	if err != nil || len(front) > mostDeadLetter {
		t.Fatalf("%d bytes, %v", len(front), err)
	}
	d, payload, err := ParseDeadLetter(append(front, "a\nb"...))
	if err != nil || string(payload) != "a\nb" || d.Key() != "\xff\xfe" || d.Stderr == "" {
		t.Errorf("%+v, %q, %v", d, payload, err)
	}
	for _, bad := range []string{"", "x", "{}\n", `{"v":2,"function":"f"}` + "\n", `{"v":1}` + "\nx"} {
		if _, _, err := ParseDeadLetter([]byte(bad)); !errors.Is(err, ErrNotDeadLetter) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// memoryJournal is a journal that survives the death of workers.
type memoryJournal struct {
	mu    sync.Mutex
	kills map[string]int
	open  map[int]string
}

func (m *memoryJournal) Begin(j *Job) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.open[j.Slot()] = string(j.Key())
	return m.kills[string(j.Key())]
}

func (m *memoryJournal) End(j *Job) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.open, j.Slot())
}

func (m *memoryJournal) Settle(j *Job) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.kills, string(j.Key()))
}

// TestJournalCountsKills checks that runs that killed their worker count in the number of the next
// attempt, and that a job that has used all its attempts is not run.
func TestJournalCountsKills(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		kills    int
		attempts []int
		dead     int
	}{
		"no kill":     {0, []int{1}, 0},
		"one kill":    {1, []int{2}, 0},
		"two kills":   {2, []int{3}, 0},
		"three kills": {3, nil, 1},
		"more":        {9, nil, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := gearmantest.NewServer(gearmantest.InMemory("10.0.0.1:4730"))
				r := newRuns()
				j := &memoryJournal{kills: map[string]int{"k": tc.kills}, open: map[int]string{}}
				inBubble(t, Options{Journal: j}, []*gearmantest.Server{s}, map[string]Handler{
					"f": r.failing,
				}, func(*Worker) {
					s.Submit("f", "k", []byte("1"))
					time.Sleep(time.Minute)
					if attempts, _ := r.of("1"); !slices.Equal(attempts, tc.attempts) {
						t.Errorf("attempts %v, want %v", attempts, tc.attempts)
					}
					if n := s.Function("dead").Total; n != tc.dead || s.Function("f").Total != 0 {
						t.Errorf("%d dead letters, want %d; %+v", n, tc.dead, s.Function("f"))
					}
					if len(j.open) != 0 || len(slices.Collect(maps.Keys(j.kills))) > 0 && tc.kills > 0 {
						t.Errorf("the journal has %v open and kills %v", j.open, j.kills)
					}
				}, Function{Retry: &RetryPolicy{CrashAttempts: 3, DeadLetter: "dead"}})
			})
		})
	}
}

// TestKillsOfAJobThatGoesBack checks that a job that has killed its worker is requeued without
// counting its kills if the worker stops before the job server has reported whether clients wait.
func TestKillsOfAJobThatGoesBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := gearmantest.NewServer(gearmantest.InMemory("10.0.0.1:4730"))
		s.SetFault(gearmantest.Fault{DropOn: proto.TypeGetStatusUnique})
		r := newRuns()
		j := &memoryJournal{kills: map[string]int{"k": 1}, open: map[int]string{}}
		inBubble(t, Options{Journal: j}, []*gearmantest.Server{s}, map[string]Handler{"f": r.failing}, func(w *Worker) {
			s.Submit("f", "k", []byte("1"))
			time.Sleep(time.Minute)
			w.beginStop()
			time.Sleep(time.Minute)
			if st := s.Function("f"); st.Total != 1 || st.Running != 0 || len(j.open) != 0 || j.kills["k"] != 1 {
				t.Errorf("%+v, the journal has %v open and kills %v", st, j.open, j.kills)
			}
			if attempts, _ := r.of("1"); len(attempts) > 0 {
				t.Errorf("it ran: attempts %v", attempts)
			}
		}, Function{Retry: &RetryPolicy{CrashAttempts: 3}})
	})
}

// TestNoRetryWithoutThePayload checks that a job whose payload could not be stored is never
// submitted again: its copy would be empty.
func TestNoRetryWithoutThePayload(t *testing.T) {
	t.Parallel()
	for name, kills := range map[string]int{"no kill": 0, "one kill": 1, "many kills": 9} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := gearmantest.NewServer(gearmantest.InMemory("10.0.0.1:4730"))
				r := newRuns()
				o := Options{
					SpoolAbove: 10, SpoolDir: "/proc/self",
					Journal: &memoryJournal{kills: map[string]int{"k": kills}, open: map[int]string{}},
				}
				inBubble(t, o, []*gearmantest.Server{s}, map[string]Handler{"f": r.failing}, func(*Worker) {
					s.Submit("f", "k", []byte("a payload of more than ten bytes"))
					time.Sleep(time.Minute)
					if n := s.Stats().JobsAdded; n != 1 || s.Function("f").Total != 0 {
						t.Errorf("%d jobs were submitted, want the one; %+v", n, s.Function("f"))
					}
				}, Function{Retry: &RetryPolicy{Attempts: 3, CrashAttempts: 3, DeadLetter: "dead"}})
			})
		})
	}
}
