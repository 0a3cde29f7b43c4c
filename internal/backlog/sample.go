package backlog

import (
	"net/netip"
	"slices"
	"time"

	"github.com/gearman-operator/gearman-operator/internal/telemetry"
)

// Sample is the state of a pool at one moment. It shares no memory with the watcher.
type Sample struct {
	Time      time.Time
	Functions []FunctionSample // in the order of the subscription
	Queues    []QueueSample    // of each function at each job server that has answered and isn't left out
	Pods      []PodSample      // the pods of SetPods with telemetry, in that order
	Servers   []ServerSample   // in the order of the subscription, then by address

	// Partial: the sums are incomplete, because a job server never answered or its answer is stale,
	// or a name doesn't resolve. The sums are no upper bound then, so no pool may be scaled down. A
	// job server that has been silent for StaleAfter no longer counts, unless all have.
	Partial bool
	// NoAnswerSince is since when not a single job server has given a fresh answer; zero while at
	// least one has.
	NoAnswerSince time.Time
	// PossibleRestart is when a connection to a job server was last lost, or reopened after that;
	// zero if never. The server may have lost its queue and the jobs that its workers still run.
	PossibleRestart time.Time
	// Excess says which job servers were left out because there are too many. They count for
	// nothing else here.
	Excess Excess
	// TerminatingTakeJobs names the terminating pods that still take jobs, sorted.
	TerminatingTakeJobs []string
	// LoadBalanced: one address was seen to lead to different job servers, so the figures are those
	// of one of them.
	LoadBalanced bool
}

// Excess says why job servers were left out.
type Excess struct {
	Addresses bool // of a name, see Options.MaxAddresses
	Pool      bool // of the pool, see Options.MaxPoolServers
	Namespace bool // of all pools in the namespace, see Options.MaxNamespaceServers
	Queues    bool // of all pools in the namespace, see Options.MaxNamespaceQueues
}

// Any reports whether anything was left out.
func (e Excess) Any() bool { return e != Excess{} }

// FunctionSample is one function of a pool, summed over its job servers: the last good answer of
// each that isn't left out.
type FunctionSample struct {
	Name string
	// Total counts queued and running jobs, and also delayed, cancelled and abandoned ones. Queued
	// is Total - Running, per job server at least 0.
	Total, Running, Queued int64
	// SilentQueued is the part of Queued from last answers that are no longer fresh, LongestQueue
	// the largest queue at a job server with a fresh one.
	SilentQueued, LongestQueue int64
	// Workers counts registrations, once on every job server: only show it, never compute with it.
	Workers int64

	// Counters are what the pool's pods did for this function by telemetry. They never decrease
	// while the pool is watched: what a pod had counted before is not included, what an ended pod
	// counted stays.
	Counters telemetry.Counters
}

// QueueSample is the last good answer of one job server on one function.
type QueueSample struct {
	Function       string
	Server         netip.AddrPort
	AsOf           time.Time
	Total, Running int64
	// LostAt is when the connection to the job server was last lost, zero if never.
	LostAt time.Time
}

// PodSample is the telemetry of one pod.
type PodSample struct {
	UID            string
	Name           string
	Busy, Capacity int
	BusySince      time.Time // since when Busy has had its value, as far as seen
	Started        time.Time // of the process, by the pod's own clock
	FirstSeen      time.Time // at a job server, first answer with this pod
	LastSeen       time.Time
	// Trouble is why the pod takes no jobs, by its worker's own report: telemetry.TroubleStart,
	// TroubleProcess or TroubleUnreachable. 0: it takes jobs.
	Trouble byte
}

// TakesNoJobs reports whether the pod's worker cannot run jobs and takes none.
func (p *PodSample) TakesNoJobs() bool { return p.Trouble != 0 }

// Unreachable reports whether that is because the service that runs the jobs can't be reached.
func (p *PodSample) Unreachable() bool { return p.Trouble == telemetry.TroubleUnreachable }

// ServerSample is one job server of a pool, or a name without an address.
type ServerSample struct {
	Address  string         // as written in the subscription
	Resolved netip.AddrPort // invalid if the name doesn't resolve
	State    State
	// Unlisted: users may see less of the state, see Reported.
	Unlisted bool
	// Fresh: the last good answer is at most three periods old.
	Fresh bool
	// LeftOut: it has been silent for StaleAfter and isn't in the sums.
	LeftOut bool
	// LastGood is the time of the last good answer, Since the time of the first attempt.
	LastGood, Since time.Time
	// LostAt is when the connection was last lost, zero if never.
	LostAt time.Time
	// LoadBalanced: two connections to this address ended at different job servers.
	LoadBalanced bool
}

// State of a job server. It is safe to show: it never contains anything that a peer sent.
type State string

const (
	StateOK           State = "OK"
	StateConnecting   State = "Connecting"   // not polled yet
	StateNotAllowed   State = "NotAllowed"   // denied by the address policy, never dialed
	StateNameNotFound State = "NameNotFound" // the name doesn't exist
	StateNoAddress    State = "NoAddress"    // the name exists and has no address
	StateUnresolved   State = "Unresolved"   // the name service doesn't answer
	StateRefused      State = "Refused"      // the connection was refused
	StateUnreachable  State = "Unreachable"  // no route, or no answer to the dial
	StateTLSFailed    State = "TLSFailed"    // the handshake failed, or the Secrets can't be used
	StateTimedOut     State = "TimedOut"     // connected, and a request got no whole answer in time
	StateClosed       State = "Closed"       // the server closed the connection
	StateBadAnswer    State = "BadAnswer"    // the answer is not a job server's
	// replaces the states that reveal what is at an address, see ServerSample.Reported
	StateNoAnswer State = "NoAnswer"
	// the last good answer is older than three periods, for no other known reason
	StateStale State = "Stale"
)

// Reported is the state that users may see. Of a job server that no rule lists it doesn't reveal
// whether its port is open, closed or silent.
func (s *ServerSample) Reported() State {
	if s.Unlisted {
		switch s.State {
		case StateRefused, StateUnreachable, StateTimedOut, StateClosed, StateBadAnswer, StateTLSFailed:
			return StateNoAnswer
		}
	}
	return s.State
}

// Age is how old the server's figures are at the sample's time; negative if there are none.
func (s *ServerSample) Age(now time.Time) time.Duration {
	if s.LastGood.IsZero() {
		return -1
	}
	return now.Sub(s.LastGood)
}

// Sample returns the state of a pool, false if the pool isn't watched.
func (w *Watcher) Sample(key PoolKey, now time.Time) (Sample, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.pools[key]
	if p == nil {
		return Sample{}, false
	}
	out := Sample{
		Time: now, Excess: p.excess,
		Functions: make([]FunctionSample, len(p.functions)),
		Servers:   make([]ServerSample, 0, max(len(p.targets), len(p.links))),
		Queues:    make([]QueueSample, 0, p.knownQueues()),
	}
	for i, f := range p.functions {
		out.Functions[i] = FunctionSample{Name: f, Counters: p.sums[i]}
	}
	answers := false
	lastAnswer := p.since
	for i, t := range p.targets {
		if slices.Contains(p.targets[:i], t) {
			continue
		}
		for _, l := range p.links {
			if l.target != t {
				continue
			}
			s := l.sample(now)
			s.Address = p.sub.Servers[i]
			out.Servers = append(out.Servers, s)
			out.Partial = out.Partial || !s.Fresh && !s.LeftOut
			out.LoadBalanced = out.LoadBalanced || s.LoadBalanced
			answers = answers || s.Fresh
			if l.srv != nil {
				lastAnswer = latest(lastAnswer, s.LastGood)
				out.PossibleRestart = latest(out.PossibleRestart, latest(l.srv.lostAt, l.srv.backAt))
			}
			if !s.LeftOut {
				l.addTo(out.Functions, s.Fresh)
				out.Queues = l.appendTo(out.Queues)
			}
		}
		if t.state == StateOK || t.paused {
			continue
		}
		s := p.unresolved(i, t, now)
		out.Partial = out.Partial || !s.LeftOut
		out.Servers = append(out.Servers, s)
	}
	if !answers {
		out.Partial, out.NoAnswerSince = true, lastAnswer
	}
	p.addPods(&out, now)
	return out, true
}

// knownQueues returns how many queues there are figures of: none at job servers that are silent, of
// which there may be hundreds.
func (p *pool) knownQueues() (n int) {
	for _, l := range p.links {
		for _, c := range l.cells {
			if c.known {
				n++
			}
		}
	}
	return n
}

// unresolved is the sample of a job server whose name has no address.
func (p *pool) unresolved(i int, t *target, now time.Time) ServerSample {
	s := ServerSample{
		Address: p.sub.Servers[i], State: t.state, Since: latest(t.since, p.since), LastGood: t.resolved,
	}
	s.LeftOut = now.Sub(latest(s.Since, t.resolved)) > p.sub.StaleAfter
	return s
}

// addPods adds the telemetry of the pool's pods.
func (p *pool) addPods(out *Sample, now time.Time) {
	for _, q := range p.pods {
		if q.takesJobs(now) {
			out.TerminatingTakeJobs = append(out.TerminatingTakeJobs, q.ref.Name)
		}
		if q.start != 0 {
			out.Pods = append(out.Pods, PodSample{
				UID: q.ref.UID, Name: q.ref.Name, Busy: q.busy, Capacity: q.capacity, BusySince: q.busySince,
				Started: time.UnixMilli(q.start), FirstSeen: q.firstSeen, LastSeen: q.lastSeen, Trouble: q.trouble(),
			})
		}
	}
	slices.Sort(out.TerminatingTakeJobs)
}

// known reports whether there are figures for all the pool's functions.
func (l *link) known() bool {
	return l.srv != nil && !slices.ContainsFunc(l.cells, func(c *cell) bool { return !c.known })
}

// fresh reports whether the figures are at most three periods old.
func (l *link) fresh(now time.Time) bool {
	period := max(l.pool.sub.Period, l.pool.period())
	return l.known() && now.Sub(l.asOf()) <= stalePeriods*period
}

// asOf is the time of the oldest of the figures. If a row of an answer was invalid, that is older
// than the last good answer. The link must be known.
func (l *link) asOf() time.Time {
	oldest := l.srv.lastGood.Sub(l.srv.since)
	for _, c := range l.cells {
		oldest = min(oldest, c.asOf)
	}
	return l.srv.since.Add(oldest)
}

// stalePeriods is how many periods of its pool an answer is good for.
const stalePeriods = 3

func (l *link) sample(now time.Time) ServerSample {
	s := ServerSample{Resolved: l.addr, Since: l.since, State: StateNotAllowed, Unlisted: l.unlisted}
	silent := l.since
	if l.srv != nil {
		s.State, s.LostAt, s.LoadBalanced = l.srv.state, l.srv.lostAt, l.srv.balance.found
		s.Fresh = l.fresh(now)
		if l.known() {
			s.LastGood = l.asOf()
			silent = latest(silent, s.LastGood)
		}
		if s.State == StateOK && !s.Fresh {
			s.State = StateStale
			if !l.known() {
				s.State = StateConnecting
			}
		}
	}
	s.LeftOut = !s.Fresh && now.Sub(silent) > l.pool.sub.StaleAfter
	return s
}

// addTo adds the last good figures, if there are any.
func (l *link) addTo(functions []FunctionSample, fresh bool) {
	for i, c := range l.cells {
		f := &functions[i]
		running := min(c.running, c.total)
		queued := int64(c.total - running)
		f.Total += int64(c.total)
		f.Running += int64(running)
		f.Queued += queued
		if fresh {
			f.LongestQueue = max(f.LongestQueue, queued)
		} else {
			f.SilentQueued += queued
		}
		f.Workers += int64(c.workers)
	}
}

// appendTo appends the last good figures, if there are any.
func (l *link) appendTo(queues []QueueSample) []QueueSample {
	for _, c := range l.cells {
		if !c.known {
			continue
		}
		queues = append(queues, QueueSample{
			Function: c.name, Server: l.addr, AsOf: l.srv.since.Add(c.asOf), LostAt: l.srv.lostAt,
			Total: int64(c.total), Running: int64(min(c.running, c.total)),
		})
	}
	return queues
}

// Apportion distributes n in proportion to the weights (largest remainder): which functions a
// pool's busy slots run, by the job servers' counts of running jobs. With all weights 0 it is
// distributed evenly, the remainder to the first ones. Negative weights count as 0.
func Apportion(n int64, weights []int64) []int64 {
	if len(weights) == 0 {
		return nil
	}
	sum := 0.0
	for _, w := range weights {
		sum += float64(max(0, w))
	}
	shares := make([]int64, len(weights))
	rests := make([]float64, len(weights))
	left := n
	for i, w := range weights {
		share := float64(n) / float64(len(weights))
		if sum > 0 {
			share = float64(n) * float64(max(0, w)) / sum
		}
		shares[i] = int64(share)
		rests[i] = share - float64(shares[i])
		left -= shares[i]
	}
	for ; left > 0; left-- {
		most := 0
		for i, r := range rests {
			if r > rests[most] {
				most = i
			}
		}
		shares[most]++
		rests[most]--
	}
	return shares
}
