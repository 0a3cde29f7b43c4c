package gearmantest

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/gearman-operator/gearman-operator/gearman/internal/check"
	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

// A bench drives a queue without connections: the output to peers is read from their buffers.
type bench struct {
	t     testing.TB
	q     *queue
	now   int64
	peers map[string]*peer
	alarm func() // the last timer that was set
}

func newBench(t testing.TB, r rules) *bench {
	t.Helper()
	r.handlePrefix = "H:t"
	b := &bench{t: t, now: 1_000_000, peers: map[string]*peer{}}
	b.q = newQueue(r, func() int64 { return b.now })
	b.q.later = func(_ int64, f func()) func() {
		b.alarm = f
		return func() { b.alarm = nil }
	}
	return b
}

func (b *bench) peer(name string) *peer {
	p := b.peers[name]
	if p == nil {
		p = &peer{ip: "127.0.0.1"}
		b.q.connect(p)
		b.peers[name] = p
	}
	return p
}

// do performs steps like "w: CAN_DO f" and "c: gone", and returns the output to each peer
// meanwhile, in the order of the steps.
func (b *bench) do(steps ...string) []string {
	b.t.Helper()
	var sent []string
	for _, s := range steps {
		who, what, ok := strings.Cut(s, ": ")
		if !ok {
			b.t.Fatalf("step %q has no peer", s)
		}
		p := b.peer(who)
		words := strings.Split(what, " ")
		switch words[0] {
		case "gone":
			b.q.disconnect(p)
			delete(b.peers, who)
		case "text":
			if !b.q.text(
				p, []byte(strings.TrimPrefix(what, "text ")+"\r\n"), identity{version: "1", pid: 2, verbose: "INFO"},
			) {
				sent = append(sent, who+" closed")
			}
		default:
			var r request
			data := proto.AppendPacket(
				nil, proto.Request, typeNamed(b.t, words[0]), []byte(strings.Join(words[1:], "\x00")),
			)
			if kind, _, _ := b.q.next(data, &r); kind != framePacket {
				b.t.Fatalf("step %q is frame %d", s, kind)
			}
			b.q.handle(p, &r)
		}
		for _, name := range slices.Sorted(maps.Keys(b.peers)) {
			for _, line := range b.read(b.peers[name]) {
				sent = append(sent, name+" "+line)
			}
		}
		b.q.dirty = b.q.dirty[:0]
	}
	return sent
}

// read returns and clears the output in a peer's buffer.
func (b *bench) read(p *peer) []string {
	b.t.Helper()
	var lines []string
	r := proto.NewReader(strings.NewReader(string(p.out)), proto.Limits{})
	p.out, p.dirty = nil, false
	for {
		text, err := r.IsText()
		if err != nil {
			return lines
		}
		if text {
			line, err := r.ReadLine()
			if err != nil {
				b.t.Fatal(err)
			}
			lines = append(lines, strings.ReplaceAll(string(line), "\t", " "))
			continue
		}
		packet, err := r.Next()
		if err != nil {
			b.t.Fatal(err)
		}
		line := packet.Type.String()
		if len(packet.Data) > 0 {
			line += " " + strings.ReplaceAll(string(packet.Data), "\x00", " ")
		}
		lines = append(lines, line)
	}
}

func typeNamed(t testing.TB, name string) proto.Type {
	t.Helper()
	for typ := range proto.TypeStatusResUnique + 1 {
		if typ.String() == name {
			return typ
		}
	}
	t.Fatalf("no packet is called %s", name)
	return 0
}

func TestQueue(t *testing.T) {
	t.Parallel()
	submit := func(kind string, function, unique, data string) string {
		return fmt.Sprintf("c: %s %s %s %s", kind, function, unique, data)
	}
	tests := map[string]struct {
		rules rules
		steps []string
		want  []string
	}{
		"foreground": {
			steps: []string{
				"w: CAN_DO f", submit("SUBMIT_JOB", "f", "", "in"), "w: GRAB_JOB", "w: WORK_STATUS H:t:1 1 2",
				"w: WORK_COMPLETE H:t:1 out",
			},
			want: []string{
				"c JOB_CREATED H:t:1", "w JOB_ASSIGN H:t:1 f in", "c WORK_STATUS H:t:1 1 2",
				"c WORK_COMPLETE H:t:1 out",
			},
		},
		"requeued at the end, the last taken first": {
			steps: []string{
				"w: CAN_DO f", "v: CAN_DO f", submit("SUBMIT_JOB_BG", "f", "", "1"),
				submit("SUBMIT_JOB_BG", "f", "", "2"), submit("SUBMIT_JOB_BG", "f", "", "3"),
				"w: GRAB_JOB", "w: GRAB_JOB", "w: gone", "v: GRAB_JOB", "v: GRAB_JOB", "v: GRAB_JOB", "v: GRAB_JOB",
			},
			want: []string{
				"c JOB_CREATED H:t:1", "c JOB_CREATED H:t:2", "c JOB_CREATED H:t:3", "w JOB_ASSIGN H:t:1 f 1",
				"w JOB_ASSIGN H:t:2 f 2",
				"v JOB_ASSIGN H:t:3 f 3", "v JOB_ASSIGN H:t:2 f 2", "v JOB_ASSIGN H:t:1 f 1", "v NO_JOB",
			},
		},
		"job retries": {
			rules: rules{jobRetries: 1},
			steps: []string{
				"w: CAN_DO f", submit("SUBMIT_JOB", "f", "", "x"), "w: GRAB_JOB", "w: gone", "a: text status",
			},
			want: []string{"c JOB_CREATED H:t:1", "w JOB_ASSIGN H:t:1 f x", "c WORK_FAIL H:t:1", "a f 0 0 0", "a ."},
		},
		"an abandoned job is dropped when it would be requeued at its last retry": {
			rules: rules{jobRetries: 2},
			steps: []string{
				"w: CAN_DO f", submit("SUBMIT_JOB", "f", "", "x"), "w: GRAB_JOB", "c: gone", "w: gone",
				"a: text show jobs",
				"v: CAN_DO f", "v: GRAB_JOB", "a: text status",
			},
			want: []string{
				"c JOB_CREATED H:t:1", "w JOB_ASSIGN H:t:1 f x", "a H:t:1 1 1 0", "a .", "v NO_JOB", "a f 0 0 1", "a .",
			},
		},
		"wake one": {
			rules: rules{wakeup: 1},
			steps: []string{
				"w: CAN_DO f", "w: PRE_SLEEP", "v: CAN_DO f", "v: PRE_SLEEP", submit("SUBMIT_JOB_BG", "f", "", "1"),
				submit("SUBMIT_JOB_BG", "f", "", "2"),
			},
			want: []string{"c JOB_CREATED H:t:1", "w NOOP", "c JOB_CREATED H:t:2", "v NOOP"},
		},
		"wake all": {
			steps: []string{
				"w: CAN_DO f", "w: PRE_SLEEP", "v: CAN_DO f", "v: PRE_SLEEP", submit("SUBMIT_JOB_BG", "f", "", "1"),
				submit("SUBMIT_JOB_BG", "f", "", "2"),
			},
			want: []string{"c JOB_CREATED H:t:1", "v NOOP", "w NOOP", "c JOB_CREATED H:t:2"},
		},
		"a sleeper of two functions is rung once": {
			steps: []string{
				"w: CAN_DO f", "w: CAN_DO g", "w: CAN_DO f", "w: PRE_SLEEP", submit("SUBMIT_JOB_BG", "f", "", "1"),
				submit("SUBMIT_JOB_BG", "g", "", "2"),
			},
			want: []string{"c JOB_CREATED H:t:1", "w NOOP", "c JOB_CREATED H:t:2"},
		},
		"unregistering the ring's start": {
			steps: []string{
				"w: CAN_DO f", "v: CAN_DO f", "u: CAN_DO f", "w: CANT_DO f", "v: PRE_SLEEP", "u: PRE_SLEEP",
				submit("SUBMIT_JOB_BG", "f", "", "1"),
				"v: RESET_ABILITIES", "u: gone", "a: text status",
			},
			want: []string{"c JOB_CREATED H:t:1", "u NOOP", "v NOOP", "a f 1 0 0", "a ."},
		},
		"coalescing by workload ends with the job": {
			steps: []string{
				submit("SUBMIT_JOB_BG", "f", "-", "x"), submit("SUBMIT_JOB_BG", "f", "-", "x"), "w: CAN_DO f",
				"w: GRAB_JOB", "w: WORK_COMPLETE H:t:1 ",
				submit("SUBMIT_JOB_BG", "f", "-", "x"),
			},
			want: []string{
				"c JOB_CREATED H:t:1", "c JOB_CREATED H:t:1", "w JOB_ASSIGN H:t:1 f x", "c JOB_CREATED H:t:2",
			},
		},
		"one key in three functions, the middle one ends": {
			steps: []string{
				submit("SUBMIT_JOB_BG", "f", "k", "1"), submit("SUBMIT_JOB_BG", "g", "k", "2"),
				submit("SUBMIT_JOB_BG", "h", "k", "3"),
				"w: CAN_DO g", "w: GRAB_JOB", "w: WORK_COMPLETE H:t:2 ",
				submit("SUBMIT_JOB_BG", "f", "k", "1"), submit("SUBMIT_JOB_BG", "g", "k", "2"),
				submit("SUBMIT_JOB_BG", "h", "k", "3"),
			},
			want: []string{
				"c JOB_CREATED H:t:1", "c JOB_CREATED H:t:2", "c JOB_CREATED H:t:3", "w JOB_ASSIGN H:t:2 g 2",
				"c JOB_CREATED H:t:1", "c JOB_CREATED H:t:4", "c JOB_CREATED H:t:3",
			},
		},
		"a long denominator closes at the next packet": {
			steps: []string{
				"w: CAN_DO f", submit("SUBMIT_JOB", "f", "", "x"), "w: GRAB_JOB", "w: WORK_STATUS H:t:1 5 123456789012",
				"c: GET_STATUS H:t:1",
			},
			want: []string{"c JOB_CREATED H:t:1", "w JOB_ASSIGN H:t:1 f x", "c STATUS_RES H:t:1 1 1 5 0"},
		},
		"numbers of a status as C reads them": {
			steps: []string{
				"w: CAN_DO f", submit("SUBMIT_JOB_BG", "f", "", "x"), "w: GRAB_JOB",
				"w: WORK_STATUS H:t:1 9999999999999999999999 12345678901", "c: GET_STATUS H:t:1",
				"w: WORK_STATUS H:t:1 -1 +7x", "c: GET_STATUS H:t:1",
			},
			want: []string{
				"c JOB_CREATED H:t:1", "w JOB_ASSIGN H:t:1 f x", "c STATUS_RES H:t:1 1 1 4294967295 1234567890",
				"c STATUS_RES H:t:1 1 1 4294967295 7",
			},
		},
		"a failure keeps what stands behind its handle": {
			steps: []string{
				"w: CAN_DO f", submit("SUBMIT_JOB", "f", "", "x"), "w: GRAB_JOB", "w: WORK_FAIL H:t:1 more",
			},
			want: []string{"c JOB_CREATED H:t:1", "w JOB_ASSIGN H:t:1 f x", "c WORK_FAIL H:t:1 more"},
		},
		"create function needs its carriage return": {
			steps: []string{"a: text create function ", "a: text create function x", "a: text status"},
			want:  []string{"a OK", "a OK", "a  0 0 0", "a x 0 0 0", "a ."},
		},
		"a sixth word": {steps: []string{"a: text a b c d e f"}, want: []string{"a closed"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := check.Diff(tc.want, newBench(t, tc.rules).do(tc.steps...)); diff != "" {
				t.Errorf("sent (-want +got):\n%s", diff)
			}
		})
	}
}

func TestQueueDelayed(t *testing.T) {
	t.Parallel()
	b := newBench(t, rules{})
	b.do("w: CAN_DO f", "c: SUBMIT_JOB_EPOCH f  1000010 x")
	if diff := check.Diff([]string{"w NO_JOB"}, b.do("w: GRAB_JOB", "w: PRE_SLEEP")); diff != "" {
		t.Errorf("before it is due (-want +got):\n%s", diff)
	}
	b.now += 10
	if diff := check.Diff(
		[]string{"w NOOP", "w JOB_ASSIGN H:t:1 f x"}, b.do("w: PRE_SLEEP", "w: GRAB_JOB"),
	); diff != "" {
		t.Errorf("when it is due (-want +got):\n%s", diff)
	}
}

func TestQueueTimeout(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		steps []string // after the grab of a job with a timeout
		set   bool     // whether the timer is still set
		want  string   // the status row after the timer has fired
	}{
		"expires":           {set: true, want: "a f 1 0 1"},
		"completed in time": {steps: []string{"w: WORK_COMPLETE H:t:1 "}, want: "a f 0 0 1"},
		"asleep":            {steps: []string{"w: PRE_SLEEP"}, want: "a f 1 1 1"},
		"connection gone":   {steps: []string{"w: gone"}, want: "a f 1 0 0"},
		"job without timeout": {
			steps: []string{"c: SUBMIT_JOB_BG g  y", "w: CAN_DO g", "w: GRAB_JOB"}, want: "a f 1 1 1",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, rules{})
			b.do("w: CAN_DO_TIMEOUT f 1", "c: SUBMIT_JOB f  x", "w: GRAB_JOB")
			b.do(tc.steps...)
			if (b.alarm != nil) != tc.set {
				t.Fatalf("timer set: %t, want %t", b.alarm != nil, tc.set)
			}
			if b.alarm != nil {
				b.alarm()
			}
			if got := b.do("a: text status"); got[0] != tc.want {
				t.Errorf("status: got %q, want %q", got[0], tc.want)
			}
		})
	}
}

// TestQueueCounts checks that a queue's counts agree with its lists after any sequence of steps.
func TestQueueCounts(t *testing.T) {
	t.Parallel()
	b := newBench(t, rules{jobRetries: 2})
	random := rand.New(rand.NewPCG(1, 2))
	for range 4000 {
		who, f, recent := fmt.Sprint("p", random.IntN(5)), string(
			rune('f'+random.IntN(3)),
		), b.q.created-uint64(random.IntN(6))
		steps := []string{
			who + ": CAN_DO " + f, who + ": SUBMIT_JOB " + f + "  x",
			who + ": SUBMIT_JOB_LOW_BG " + f + fmt.Sprintf(" u%d x", random.IntN(4)), who + ": GRAB_JOB",
			who + ": PRE_SLEEP", who + ": CANT_DO " + f, who + fmt.Sprintf(": WORK_COMPLETE H:t:%d ", recent),
			who + ": gone", who + ": GRAB_JOB",
			who + fmt.Sprintf(": text cancel job H:t:%d", recent),
		}
		b.do(steps[random.IntN(len(steps))])
		b.check()
	}
	if b.q.created < 100 {
		t.Errorf("only %d jobs were created: the steps don't try what they should", b.q.created)
	}
}

func (b *bench) check() {
	b.t.Helper()
	total, running, waiters := map[*function]int{}, map[*function]int{}, 0
	for n := b.q.jobs.front; n != nil; n = n.next {
		total[n.v.fn]++
		waiters += n.v.waiters.n
		if n.v.worker != nil {
			running[n.v.fn]++
		}
		if b.q.byHandle[n.v.handle] != n.v {
			b.t.Fatalf("job %s is not found by its handle", n.v.handle)
		}
	}
	regs := map[*function]int{}
	for n := b.q.peers.front; n != nil; n = n.next {
		waiters -= n.v.waits.n
		for r := n.v.regs.front; r != nil; r = r.next {
			regs[r.v.fn]++
		}
	}
	if waiters != 0 {
		b.t.Fatalf("jobs and peers disagree by %d waiters", waiters)
	}
	for _, f := range b.q.functions {
		queued := 0
		for _, l := range f.lines {
			n := 0
			for j := l.head; j != nil; j = j.inLine {
				n++
			}
			if n != l.n {
				b.t.Fatalf("%s: a line holds %d jobs and says %d", f.name, n, l.n)
			}
			queued += n
		}
		got := [...]int{f.total, f.running, f.queued, f.workers}
		want := [...]int{total[f], running[f], queued, regs[f]}
		if got != want || f.total != f.running+f.queued {
			b.t.Fatalf("%s: total, running, queued, workers are %v, want %v", f.name, got, want)
		}
	}
}
