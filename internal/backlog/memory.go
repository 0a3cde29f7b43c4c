package backlog

// The memory of the package's objects, by its own accounting: generous round figures.
const (
	poolBytes     = 2 << 10
	functionBytes = 256
	linkBytes     = 320
	cellBytes     = 240 // with its entries in slices and in the poller's index
	podBytes      = 512
	targetBytes   = 1 << 10
	serverBytes   = 16 << 10 // with its goroutines and connections
)

// Entries counts the entries in memory, by kind. All are 0 without pools.
func (w *Watcher) Entries() map[string]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	functions, foreign, queues := 0, 0, 0
	for _, s := range w.servers {
		functions += len(s.cells)
		if s.foreign != nil {
			foreign += len(s.foreign.rows)
		}
	}
	for _, t := range w.tenants {
		queues += t.queues
	}
	return map[string]int{
		"watchedPools": len(w.pools), "namespaces": len(w.tenants), "names": len(w.targets), "namesLeftOut": w.paused,
		"jobServers": len(w.servers), "functions": functions, "foreignFunctions": foreign, "queues": queues,
		"pods": len(w.podsByUID), "terminatingPods": len(w.terminating),
	}
}

// Bytes estimates how much memory the watcher holds between polls. It depends on the pools'
// subscriptions, and on no job server's answers except for the budget of ForeignFunctions.
func (w *Watcher) Bytes() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	total := w.foreignBytes
	for _, p := range w.pools {
		total += poolBytes + len(p.links)*linkBytes
		for _, f := range p.functions {
			total += functionBytes + len(f)
		}
		for _, l := range p.links {
			total += 8 * len(l.cells)
		}
		total += len(p.pods) * (podBytes + len(p.functions)*functionBytes)
	}
	for _, t := range w.targets {
		total += targetBytes + len(t.key.host) + len(t.addrs)
	}
	for _, s := range w.servers {
		total += serverBytes
		for _, c := range s.cells {
			total += cellBytes + len(c.name)
		}
	}
	return total
}
