package backlog

import (
	"bytes"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/proto"
	"github.com/gearman-operator/gearman-operator/internal/telemetry"
)

// clockSkew is how far the clock of a pod's node may be ahead of ours. A later start time is not
// believed: the newest start wins, so it would suppress the pod's true reports.
const clockSkew = 5 * time.Minute

// podState is the telemetry of one pod. Guarded by Watcher.mu.
type podState struct {
	pool *pool
	ref  PodRef
	uid  telemetry.UID
	ip   string    // in canonical form, empty before there is one
	next *podState // another pod with the same first eight characters of its uid

	start          int64 // ms since 1970, of the process that the counters belong to; 0: nothing seen yet
	busy, capacity int
	busySince      time.Time
	firstSeen      time.Time
	lastSeen       time.Time
	verified       time.Time    // when a report last came from the pod's own address
	trusted        bool         // start was confirmed by a report from there
	terminating    *termination // nil: it is not terminating

	// old: this process started before the pool was watched, so the first counters may have been
	// counted before.
	old      bool
	counters []podCounters // by function of the pool
}

type podCounters struct {
	telemetry.Counters
	seen    bool
	trusted bool // confirmed from the pod's own address
	trouble byte // as in the newest report
}

// podReport is a row of `workers` about a known pod.
type podReport struct {
	pod            *podState
	verified       bool // it comes from the pod's own address
	function       int  // of the pool; -1: none of them
	version        int  // version of the pool's functions
	start          int64
	busy, capacity int
	trouble        byte
	counters       telemetry.Counters
}

// reportSet holds the newest report of each pod, function and kind of origin in one answer: its
// size depends on the pools' pods, not on how many rows a job server sends.
type reportSet struct {
	list  []podReport
	index map[reportKey]int
	rows  []reportRow // of one batch
}

type reportKey struct {
	pod      *podState
	function int
	verified bool
}

var reportSets = sync.Pool{New: func() any { return &reportSet{index: make(map[reportKey]int)} }}

func (s *reportSet) reset() {
	clear(s.list)
	clear(s.rows[:cap(s.rows)])
	clear(s.index)
	s.list, s.rows = s.list[:0], s.rows[:0]
}

func (s *reportSet) add(r podReport) {
	key := reportKey{r.pod, r.function, r.verified}
	i, ok := s.index[key]
	if !ok {
		s.index[key] = len(s.list)
		s.list = append(s.list, r)
		return
	}
	if old := &s.list[i]; r.version != old.version || r.start > old.start || r.start == old.start &&
		!r.counters.Before(old.counters) {
		*old = r
	}
}

// reportRow is a row of `workers` with telemetry, of any pod. Its bytes are those of the batch.
type reportRow struct {
	ip []byte
	telemetry.Report
}

// parseReport returns false if a row has no telemetry, or telemetry that can't be true.
func parseReport(row []byte, nowMillis int64) (reportRow, bool) {
	conn, err := proto.ParseWorkerRow(row)
	if err != nil {
		return reportRow{}, false
	}
	r, err := telemetry.Parse(conn.ID)
	if err != nil || !r.Full {
		return reportRow{}, false
	}
	if r.Start > nowMillis+clockSkew.Milliseconds() {
		return reportRow{}, false
	}
	// No process can have been busier than all its slots since its start.
	if most := (nowMillis - r.Start + 2*clockSkew.Milliseconds()) * int64(r.Capacity); r.Counters.BusyMillis > most {
		return reportRow{}, false
	}
	return reportRow{ip: bytes.TrimPrefix(conn.IP, mappedPrefix), Report: r}, true
}

// report finds the pod that a row is about. It returns false unless the pod is known and its pool
// uses the job server. Watcher.mu is held.
func (w *Watcher) report(s *server, r *reportRow) (podReport, bool) {
	for p := w.podsByUID[r.UID]; p != nil; p = p.next {
		if len(r.Pod) > 0 && p.ref.Name != "" && !strings.HasPrefix(p.ref.Name, string(r.Pod)) || !p.pool.uses(s) {
			continue
		}
		return podReport{
			pod: p, verified: p.ip != "" && string(r.ip) == p.ip, function: p.pool.functionOf(r.Report),
			version: p.pool.version,
			start:   r.Start, busy: r.Busy, capacity: r.Capacity, trouble: r.Trouble, counters: r.Counters,
		}, true
	}
	return podReport{}, false
}

// merge adds the reports of one answer. If the pod's own address confirms one of them, in this
// answer or recently in another, reports about that pod from elsewhere are ignored.
func (w *Watcher) merge(reports []podReport, now time.Time, lately time.Duration) {
	for i := range reports {
		if r := &reports[i]; r.verified {
			r.pod.verified = now
		}
	}
	for i := range reports {
		if r := &reports[i]; r.version == r.pod.pool.version && (r.verified || now.Sub(r.pod.verified) > lately) {
			r.pod.merge(r, now)
		}
	}
}

// merge adds one report. Reports come from several job servers and connections, so an older one may
// arrive after a newer one: the newest process counts, and its largest counters.
func (p *podState) merge(r *podReport, now time.Time) {
	// The first report from the pod's own address is right if it contradicts earlier ones from
	// elsewhere.
	if overrules := r.verified && !p.trusted; r.start < p.start && !overrules {
		return
	}
	if r.start != p.start {
		// The counters of a corrected process may have been counted already, under the wrong start.
		p.start, p.old = r.start, r.start < p.pool.since.UnixMilli() || r.start < p.start
		clear(p.counters)
		p.trusted, p.busySince = false, now
		if p.firstSeen.IsZero() {
			p.firstSeen = now
		}
	}
	p.trusted = p.trusted || r.verified
	if r.function >= 0 {
		c := &p.counters[r.function]
		overrules := r.verified && !c.trusted
		if r.counters.Before(c.Counters) && !overrules {
			return
		}
		if c.seen || !p.old {
			p.pool.sums[r.function] = p.pool.sums[r.function].Add(r.counters.Since(c.Counters))
		}
		c.Counters, c.seen, c.trusted, c.trouble = r.counters, true, c.trusted || r.verified, r.trouble
	}
	if p.busy != r.busy {
		p.busySince = now
	}
	p.busy, p.capacity, p.lastSeen = r.busy, r.capacity, now
	if p.terminating != nil {
		p.terminating.recordReport(p, now)
	}
}

// trouble is why the pod takes no jobs of any function that it reports on; 0 if it takes some.
func (p *podState) trouble() (letter byte) {
	for i := range p.counters {
		c := &p.counters[i]
		if !c.seen {
			continue
		}
		switch c.trouble {
		case telemetry.TroubleStart, telemetry.TroubleProcess, telemetry.TroubleUnreachable:
			letter = c.trouble
		default:
			return 0
		}
	}
	return letter
}

// mappedPrefix is how an IPv4 address begins on a socket for both families.
var mappedPrefix = []byte("::ffff:")

// canonicalIP formats an address as job servers do; empty if it is invalid.
func canonicalIP(s string) string {
	a, err := netip.ParseAddr(s)
	if err != nil {
		return ""
	}
	return a.Unmap().String()
}

// setPods updates the list of a pool's pods. The state of pods that stay is kept.
func (w *Watcher) setPods(p *pool, refs []PodRef) {
	same := len(refs) == len(p.pods)
	for i := 0; same && i < len(refs); i++ {
		same = p.pods[i].ref == refs[i]
	}
	if same {
		return
	}
	known := make(map[string]*podState, len(p.pods))
	for _, q := range p.pods {
		known[q.ref.UID] = q
	}
	pods := make([]*podState, 0, len(refs))
	for _, ref := range refs {
		uid, err := telemetry.ParseUID(ref.UID)
		if err != nil {
			continue // not a UID of Kubernetes, so no ID can name it
		}
		q := known[ref.UID]
		if q == nil {
			q = &podState{pool: p, uid: uid, counters: make([]podCounters, len(p.functions)), next: w.podsByUID[uid]}
			w.podsByUID[uid] = q
		}
		delete(known, ref.UID)
		if ip := canonicalIP(ref.IP); ip != q.ip {
			q.ip, q.verified = ip, time.Time{}
		}
		q.ref = ref
		w.recordTermination(q, ref.Terminating, time.Now())
		pods = append(pods, q)
	}
	for _, q := range known {
		w.dropPod(q)
	}
	p.pods = pods
}

// dropPod takes a pod out of the index.
func (w *Watcher) dropPod(q *podState) {
	delete(w.terminating, q)
	first := w.podsByUID[q.uid]
	if first == q {
		if q.next == nil {
			delete(w.podsByUID, q.uid)
		} else {
			w.podsByUID[q.uid] = q.next
		}
		return
	}
	for at := first; at != nil; at = at.next {
		if at.next == q {
			at.next = q.next
			return
		}
	}
}

// remap reorders the per-function state after the pool's functions changed: to[i] is the former
// index of function i, or -1.
func (p *podState) remap(to []int) {
	counters := make([]podCounters, len(to))
	for i, from := range to {
		if from >= 0 {
			counters[i] = p.counters[from]
		}
	}
	p.counters = counters
}
