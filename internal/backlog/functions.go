package backlog

import (
	"cmp"
	"slices"
	"time"
)

// spare returns the cell of a function that no pool wants, where those are kept and there is room; else nil.
func (s *server) spare(name []byte, answer uint64) *cell {
	if !s.w.opts.AllFunctions || s.spares >= s.w.opts.MaxFunctions {
		return nil
	}
	c := &cell{name: string(name), from: answer}
	s.cells[c.name] = c
	s.spares++
	return c
}

// ServerStats is what was counted of one job server.
type ServerStats struct {
	Address string // ip:port
	Name    string // host:port as a pool wrote it, the first of them by the alphabet
	State   State
	Up      bool // the last poll was answered

	LastGood     time.Time     // zero if there never was an answer
	LastPollTime time.Duration // of the last answered poll, `status` and where it was due `workers`
	Polls        uint64        // answered
	Failures     uint64        // connections that could not be made or were lost
	PollTime     time.Duration // of all answered polls
	Requests     uint64
	Bytes        uint64 // of answers
	LoadBalanced bool
}

// Servers returns the counts of all job servers that pools use, by address. An address that is polled more than once (with TLS, pools of other namespaces have
// their own connections) is there once: with the counts of one that answers, if any does.
func (w *Watcher) Servers() []ServerStats {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := w.distinctServers()
	out := make([]ServerStats, 0, len(all))
	for _, s := range all {
		st := ServerStats{
			Address: s.key.addr.String(), State: s.state, Up: s.connected, LastGood: s.lastGood, LastPollTime: s.stats.lastPollTime,
			Polls: s.stats.polls, Failures: s.stats.failures, PollTime: s.stats.pollTime, Requests: s.stats.requests, Bytes: s.stats.bytes,
			LoadBalanced: s.balance.found,
		}
		for _, l := range s.links {
			if name := l.target.key.String(); st.Name == "" || name < st.Name {
				st.Name = name
			}
		}
		out = append(out, st)
	}
	return out
}

// distinctServers returns one server an address, sorted by address.
func (w *Watcher) distinctServers() []*server {
	all := make([]*server, 0, len(w.servers))
	for _, s := range w.servers {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b *server) int {
		up := func(s *server) int {
			if s.connected {
				return 0
			}
			return 1
		}
		return cmp.Or(a.key.addr.Compare(b.key.addr), cmp.Compare(up(a), up(b)), cmp.Compare(a.key.tls, b.key.tls), cmp.Compare(a.key.host, b.key.host))
	})
	return slices.CompactFunc(all, func(a, b *server) bool { return a.key.addr == b.key.addr })
}

// Entries counts what is kept in memory, by what it is. All of it is 0 where no pool is watched.
func (w *Watcher) Entries() map[string]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	functions := 0
	for _, s := range w.servers {
		functions += len(s.cells)
	}
	return map[string]int{
		"watchedPools": len(w.pools), "names": len(w.targets), "jobServers": len(w.servers), "functions": functions, "pods": len(w.podsByUID),
	}
}

// FunctionStats is a function's figures on one job server, or summed over all.
type FunctionStats struct {
	Name, Server           string // Server is empty in a sum
	Total, Running, Queued int64
	Workers                int64
	Pools                  int // that want it, on the job server where most do
}

// shownFor is how long the figures of a job server that doesn't answer are still shown.
const shownFor = time.Minute

// Functions returns the figures of the functions that pools want, with AllFunctions of all others too: summed over the job servers, or of each. They are sorted by
// name and server. Servers that have been silent for a minute are left out.
func (w *Watcher) Functions(byServer bool, now time.Time) []FunctionStats {
	w.mu.Lock()
	var out []FunctionStats
	index := make(map[string]int)
	for _, s := range w.distinctServers() {
		if !s.connected && now.Sub(s.lastGood) > shownFor {
			continue
		}
		server := ""
		if byServer {
			server = s.key.addr.String()
			clear(index)
		}
		for name, c := range s.cells {
			if !c.known {
				continue
			}
			i, ok := index[name]
			if !ok {
				i = len(out)
				index[name] = i
				out = append(out, FunctionStats{Name: name, Server: server})
			}
			f := &out[i]
			running := min(c.running, c.total)
			f.Total += int64(c.total)
			f.Running += int64(running)
			f.Queued += int64(c.total - running)
			f.Workers += int64(c.workers)
			f.Pools = max(f.Pools, c.refs)
		}
	}
	w.mu.Unlock()
	slices.SortFunc(out, func(a, b FunctionStats) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Server, b.Server))
	})
	return out
}
