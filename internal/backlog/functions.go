package backlog

import (
	"cmp"
	"math"
	"net/netip"
	"slices"
	"time"
)

// ServerStats are the counts of one job server.
type ServerStats struct {
	Address string       // ip:port
	Names   []ServerName // by namespace and name
	State   State
	Up      bool // the last poll was answered

	LastGood     time.Time     // zero if there never was an answer
	LastPollTime time.Duration // of the last answered poll, `status` and `workers` if it was due
	Polls        uint64        // answered
	Failures     uint64        // connections that could not be made or were lost
	PollTime     time.Duration // of all answered polls
	Requests     uint64
	Bytes        uint64 // of answers
	LoadBalanced bool
}

// ServerName is how pools of a namespace write a job server: host:port.
type ServerName struct{ Namespace, Name string }

// Servers returns the counts of the job servers that pools use, by address, and how many were left
// out because there are more than most: no namespace gets less because another one has more. An
// address that is polled more than once (with TLS, pools of other namespaces have their own
// connections) is listed once, with the counts of a connection that answers, if any does.
func (w *Watcher) Servers(most int) (shown []ServerStats, left int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var (
		all    []ServerStats
		spaces = make(map[string][]int)
	)
	for _, s := range w.sortedServers() {
		addr := s.key.addr.String()
		if n := len(all); n == 0 || all[n-1].Address != addr {
			all = append(all, ServerStats{
				Address: addr, State: s.state, Up: s.connected, LastGood: s.lastGood,
				LastPollTime: s.stats.lastPollTime,
				Polls:        s.stats.polls, Failures: s.stats.failures, PollTime: s.stats.pollTime,
				Requests: s.stats.requests,
				Bytes:    s.stats.bytes, LoadBalanced: s.balance.found,
			})
		}
		st := &all[len(all)-1]
		for _, l := range s.links {
			name := ServerName{l.pool.key.Namespace, l.target.key.String()}
			if slices.Contains(st.Names, name) {
				continue
			}
			if !slices.ContainsFunc(st.Names, func(n ServerName) bool { return n.Namespace == name.Namespace }) {
				spaces[name.Namespace] = append(spaces[name.Namespace], len(all)-1)
			}
			if len(st.Names) < maxNamesShown {
				st.Names = append(st.Names, name)
			}
		}
		slices.SortFunc(st.Names, func(a, b ServerName) int {
			return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
		})
	}
	return pick(all, fairChoice(spaces, len(all), most))
}

// maxNamesShown bounds the names that are shown for one address.
const maxNamesShown = 64

// sortedServers returns the servers by address; of several with one address those that answer come
// first.
func (w *Watcher) sortedServers() []*server {
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
		return cmp.Or(
			a.key.addr.Compare(b.key.addr), cmp.Compare(up(a), up(b)), cmp.Compare(a.key.tls, b.key.tls),
			cmp.Compare(a.key.host, b.key.host),
		)
	})
	return all
}

// FunctionStats are a function's figures on one job server.
type FunctionStats struct {
	Name, Server           string
	Total, Running, Queued int64
	Workers                int64
	Pools                  int // that want it there; 0: none, it is foreign
}

// shownFor is how long the figures of a silent job server are still shown.
const shownFor = time.Minute

// Functions returns the figures of the functions that pools want, and with ForeignFunctions those
// of others, on each job server, and how many were left out because there are more than most. The
// pools' functions come before others; no namespace, and of the others no job server, gets less
// because another one has more. Job servers that have been silent for a minute are left out.
func (w *Watcher) Functions(most int, now time.Time) (shown []FunctionStats, left int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := slices.DeleteFunc(
		w.sortedServers(), func(s *server) bool { return !s.connected && now.Sub(s.lastGood) > shownFor },
	)
	wanted, index, spaces := wantedStats(all)
	foreign, servers := foreignStats(all, index)
	shown, left = pick(wanted, fairChoice(spaces, len(wanted), most))
	more, leftToo := pick(foreign, fairChoice(servers, len(foreign), most-len(shown)))
	shown = append(shown, more...)
	slices.SortFunc(shown, func(a, b FunctionStats) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Server, b.Server))
	})
	return shown, left + leftToo
}

// functionKey is a function on one job server.
type functionKey struct {
	server netip.AddrPort
	name   string
}

// wantedStats are the figures of the functions that pools want, by an index, and for each namespace
// which of them are its pools', sorted by job server and name.
func wantedStats(all []*server) (stats []FunctionStats, index map[functionKey]int, spaces map[string][]int) {
	index, spaces = make(map[functionKey]int), make(map[string][]int)
	for _, s := range all {
		addr := s.key.addr.String()
		for _, c := range s.cells {
			k := functionKey{s.key.addr, c.name}
			i, ok := index[k]
			if !ok && c.known {
				i = len(stats)
				index[k] = i
				stats = append(
					stats,
					functionStats(addr, c.name, figures{total: c.total, running: c.running, workers: c.workers}),
				)
			}
			if ok || c.known {
				stats[i].Pools += int(c.refs)
			}
		}
		for _, l := range s.links {
			for _, c := range l.cells {
				if i, ok := index[functionKey{s.key.addr, c.name}]; ok {
					spaces[l.pool.key.Namespace] = append(spaces[l.pool.key.Namespace], i)
				}
			}
		}
	}
	for ns, items := range spaces {
		slices.SortFunc(items, byServer(stats))
		spaces[ns] = slices.Compact(items)
	}
	return stats, index, spaces
}

// foreignStats are the figures of the functions that are not in the index, and for each job server
// which of them are its own, sorted by name.
func foreignStats(all []*server, index map[functionKey]int) (stats []FunctionStats, servers map[string][]int) {
	servers = make(map[string][]int)
	for _, s := range all {
		if s.foreign == nil {
			continue
		}
		addr := s.key.addr.String()
		for name, row := range s.foreign.rows {
			k := functionKey{s.key.addr, name}
			if _, ok := index[k]; ok {
				continue
			}
			index[k] = -1 // the address has several entries in all
			servers[addr] = append(servers[addr], len(stats))
			stats = append(stats, functionStats(addr, name, row.figures))
		}
	}
	for _, items := range servers {
		slices.SortFunc(items, byServer(stats))
	}
	return stats, servers
}

// byServer compares two indices of stats by job server and name.
func byServer(stats []FunctionStats) func(a, b int) int {
	return func(a, b int) int {
		return cmp.Or(cmp.Compare(stats[a].Server, stats[b].Server), cmp.Compare(stats[a].Name, stats[b].Name))
	}
}

func functionStats(server, name string, f figures) FunctionStats {
	running := min(f.running, f.total)
	return FunctionStats{
		Name: name, Server: server, Total: int64(f.total), Running: int64(running), Queued: int64(f.total - running),
		Workers: int64(f.workers),
	}
}

// fairChoice returns which of n items to show if at most most can be. Each group has the indexes of
// its items, of which the first are shown; an item may be in several groups.
func fairChoice(groups map[string][]int, n, most int) []bool {
	chosen := make([]bool, n)
	counts := make([]int, 0, len(groups))
	for _, items := range groups {
		counts = append(counts, len(items))
	}
	level := fairLevel(counts, most)
	for _, items := range groups {
		for _, i := range items[:min(len(items), level)] {
			chosen[i] = true
		}
	}
	return chosen
}

// fairLevel returns how much each group may have so that all have no more than most together. A
// group that has less than its share leaves the rest of it to the others.
func fairLevel(counts []int, most int) int {
	slices.Sort(counts)
	for i, n := range counts {
		share := max(0, most) / (len(counts) - i)
		if n > share {
			return share
		}
		most -= n
	}
	return math.MaxInt
}

// pick returns the chosen items, and how many are left.
func pick[T any](items []T, chosen []bool) (picked []T, left int) {
	for i := range items {
		if chosen[i] {
			picked = append(picked, items[i])
		} else {
			left++
		}
	}
	return picked, left
}
