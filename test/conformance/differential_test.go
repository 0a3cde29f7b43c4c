package conformance

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gearman-operator/gearman-operator/gearman/gearmantest"
	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

const (
	seedEnv    = "CONFORMANCE_SEED"    // repeats one sequence
	secondsEnv = "CONFORMANCE_SECONDS" // how long to try new ones
)

// TestDifferential sends the same random requests to gearmantest and to gearmand. After each of
// them every connection must have got the same packets from both, and every list must have the same
// rows. A failure logs its seed.
func TestDifferential(t *testing.T) {
	t.Parallel()
	seconds := 4.0
	if s := os.Getenv(secondsEnv); s != "" {
		var err error
		if seconds, err = strconv.ParseFloat(s, 64); err != nil {
			t.Fatalf("%s: %v", secondsEnv, err)
		}
	}
	seed, fixed := uint64(time.Now().UnixNano()), false
	if s := os.Getenv(seedEnv); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatalf("%s: %v", seedEnv, err)
		}
		fixed = true
	}
	begin, runs, steps := time.Now(), 0, 0
	for ; runs == 0 || !fixed && time.Since(begin).Seconds() < seconds; runs++ {
		n, problem := differ(t, seed)
		if problem != "" {
			t.Fatalf("%s=%d repeats this:\n%s", seedEnv, seed, problem)
		}
		steps += n
		seed++
	}
	t.Logf("%d sequences, %d steps", runs, steps)
}

// A duel is one sequence of requests to both servers.
type duel struct {
	random  *rand.Rand
	sides   [2]*side // gearmantest, gearmand
	history []string
	jobs    int  // created so far, at most
	quiet   bool // few jobs, so that queues run empty and workers sleep
}

// A side is the connections to one of the two servers.
type side struct {
	c     *check
	wires []*wire
}

const (
	duelWires = 5
	duelSteps = 250
)

// differ runs the sequence of a seed and returns where the servers differ.
func differ(t *testing.T, seed uint64) (steps int, problem string) {
	t.Helper()
	d := &duel{random: rand.New(rand.NewPCG(seed, 0))}
	d.quiet = d.random.IntN(2) == 0
	var o options
	switch d.random.IntN(6) {
	case 0:
		o.jobRetries = 2
	case 1, 5:
		o.wakeup = 1
	case 2:
		o.roundRobin = true
	case 3:
		o.exceptions = true
	}
	d.history = append(d.history, fmt.Sprintf("options %+v", o))
	defer func() {
		switch p := recover().(type) {
		case nil:
		case failure:
			problem = strings.Join(d.history, "\n") + "\n" + string(p)
		default:
			panic(p)
		}
	}()
	for i, start := range []func(testing.TB, options) *target{fake(nameFake, gearmantest.Gearmand), startGearmand} {
		c := &check{target: start(t, o), waitLimit: waitLimit, ctx: t.Context()}
		defer c.end()
		d.sides[i] = &side{c: c}
		for n := range duelWires {
			d.sides[i].wires = append(d.sides[i].wires, c.dial(fmt.Sprint("wire ", n)))
		}
		c.admin().sync()
	}
	for n := range duelWires { // so that there are workers to wake from the start
		d.request(n, proto.TypeCanDo, pick(d.random, "f", "g"))
		d.request(n, proto.TypePreSleep)
	}
	for range duelSteps {
		d.step()
		steps++
	}
	return steps, ""
}

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

// step makes one random request and compares its effects.
func (d *duel) step() {
	n := d.random.IntN(duelWires)
	f := pick(d.random, "f", "g", "h")
	handle := fmt.Sprint("H:test:", max(d.jobs-d.random.IntN(8), 1))
	unique := pick(d.random, "", "", "", "-", "k1", "k2")
	data := pick(d.random, "", "data", "x\x00y")
	send := func(t proto.Type, args ...string) { d.request(n, t, args...) }
	roll := d.random.IntN(100)
	if d.quiet && roll >= 46 && roll < 72 && d.random.IntN(4) > 0 {
		roll = pick(d.random, 16, 26) // PRE_SLEEP and GRAB_JOB in place of three in four jobs
	}
	switch {
	case roll < 12:
		send(proto.TypeCanDo, f)
	case roll < 15:
		send(proto.TypeCantDo, f)
	case roll < 16:
		send(proto.TypeResetAbilities)
	case roll < 26:
		send(proto.TypePreSleep)
	case roll < 46:
		send(pick(d.random, proto.TypeGrabJob, proto.TypeGrabJobUniq, proto.TypeGrabJobAll))
	case roll < 68:
		d.jobs++
		send(pick(d.random, proto.TypeSubmitJob, proto.TypeSubmitJob, proto.TypeSubmitJobHigh, proto.TypeSubmitJobLow,
			proto.TypeSubmitJobBG,
			proto.TypeSubmitJobHighBG, proto.TypeSubmitJobLowBG), f, unique, data)
	case roll < 71:
		d.jobs++
		send(proto.TypeSubmitJobEpoch, f, unique, pick(d.random, epoch(time.Hour), "1", "no"), data)
	case roll < 72:
		d.jobs++
		send(pick(d.random, proto.TypeSubmitReduceJob, proto.TypeSubmitReduceBG), f, unique, "reducer", "", data)
	case roll < 82:
		send(proto.TypeWorkComplete, handle, data)
	case roll < 84:
		send(proto.TypeWorkFail, handle)
	case roll < 86:
		send(proto.TypeWorkException, handle, data)
	case roll < 89:
		send(pick(d.random, proto.TypeWorkData, proto.TypeWorkWarning), handle, data)
	case roll < 90:
		send(proto.TypeWorkStatus, handle, pick(d.random, "1", "-2", "x"), pick(d.random, "2", "99999999999", ""))
	case roll < 92:
		send(proto.TypeGetStatus, handle)
	case roll < 94:
		send(proto.TypeGetStatusUnique, unique)
	case roll < 95:
		send(proto.TypeOptionReq, pick(d.random, "exceptions", "other"))
	case roll < 97:
		line := pick(
			d.random, "cancel job "+handle, "maxqueue "+f+" 3", "maxqueue "+f+" 2 3 4", "maxqueue "+f,
			"create function "+f+"\r",
		)
		d.history = append(d.history, "admin: "+line)
		d.equal(func(s *side) any { return s.c.admin().line(line + "\n") })
	default:
		d.history = append(d.history, fmt.Sprintf("wire %d: closed", n))
		d.equal(func(s *side) any {
			s.wires[n].close()
			s.wires[n] = s.c.dial(fmt.Sprint("wire ", n))
			s.wires[n].sync()
			return nil
		})
	}
	// The effects of a closed connection take a while to show, on either side.
	for deadline := time.Now().Add(10 * time.Second); d.lists(0) != d.lists(1) && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	d.equal(func(s *side) any {
		var got [][]string
		for _, w := range s.wires {
			got = append(got, w.drain())
		}
		return got
	})
	d.equal(func(s *side) any { return s.lists() })
}

// request sends one request and compares what its connection gets.
func (d *duel) request(n int, t proto.Type, args ...string) {
	d.history = append(d.history, fmt.Sprintf("wire %d: %s", n, show(t, args)))
	d.equal(func(s *side) any {
		s.wires[n].send(t, args...)
		return s.wires[n].drain()
	})
}

func (d *duel) lists(i int) string { return fmt.Sprint(d.sides[i].lists()) }

// lists returns the rows of all text commands about jobs.
func (s *side) lists() map[string][]string {
	lists := map[string][]string{}
	for _, command := range []string{"status\n", "prioritystatus\n", "show jobs\n", "show unique jobs\n"} {
		lists[command] = s.c.admin().rows(command)
	}
	var functions []string // of the connections, which have other numbers on the other side
	for _, r := range s.c.admin().rows("workers\n") {
		_, list, _ := strings.Cut(r, " : ")
		functions = append(functions, list)
	}
	slices.Sort(functions)
	lists["workers\n"] = functions
	return lists
}

// drain returns what a connection has received.
func (w *wire) drain() []string {
	w.n++
	mark := fmt.Sprintf("mark %d of %s", w.n, w.name)
	w.send(proto.TypeEchoReq, mark)
	var got []string
	for {
		p, err := w.next()
		if err != nil {
			w.c.failf("%s of %s waited for its echo, and got %s after %q", w.name, w.c.target.kind, silence(err), got)
		}
		if p.typ == proto.TypeEchoRes && p.args[0] == mark {
			return got
		}
		got = append(got, p.String())
	}
}

// equal fails unless both sides return the same.
func (d *duel) equal(get func(*side) any) {
	ours, theirs := get(d.sides[0]), get(d.sides[1])
	if diff := cmp.Diff(theirs, ours); diff != "" {
		panic(failure(fmt.Sprintf("gearmand (-) and gearmantest (+) differ:\n%s", diff)))
	}
}
