package world

import (
	"math/rand/v2"
	"sync"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/gearman/worker"
)

// featureRetries is a pool whose jobs may fail and are tried again. A journal in each pod counts
// the jobs that were running when their worker died.
const featureRetries = "retries"

// retryAttempts is how often a job of a pool with retries may run. Up to two of its first attempts
// fail, and faults may end others.
const retryAttempts = 12

// addRetries draws from a source of its own.
func (p *Plan) addRetries() {
	g := generator{rand.New(rand.NewPCG(p.Seed, 0x4e74))}
	for i := range p.Pools {
		if g.chance(0.08) && !p.Pools[i].Target {
			p.Pools[i].Backoff = int32(1 + g.IntN(20))
		}
	}
}

// retrySpec returns a pool's retry settings, or nil if it has none.
func (p *PoolPlan) retrySpec() *v1alpha1.RetrySpec {
	if p.Backoff == 0 {
		return nil
	}
	return &v1alpha1.RetrySpec{
		Attempts: new(int32(retryAttempts)), BackoffSeconds: &p.Backoff, MaxBackoffSeconds: new(int32(60)),
	}
}

// failures returns how many of a job's first attempts fail.
func failures(r *rand.Rand) int { return []int{0, 0, 0, 0, 0, 0, 1, 1, 1, 2}[r.IntN(10)] }

// journals are the journals of the pods with retries. A journal outlives its pod's containers.
type journals struct {
	mu    sync.Mutex
	ofPod map[string]*journal
}

// open returns a pod's journal for a new process. It counts the jobs that the previous process ran
// when it died.
func (js *journals) open(uid string) *journal {
	js.mu.Lock()
	defer js.mu.Unlock()
	j := js.ofPod[uid]
	if j == nil {
		j = &journal{running: map[int]string{}, kills: map[string]int{}}
		js.ofPod[uid] = j
	}
	j.reopen()
	return j
}

// journal is a worker's journal in memory, since a simulated machine has no files.
type journal struct {
	mu      sync.Mutex
	running map[int]string // by slot
	kills   map[string]int
}

var _ worker.Journal = &journal{}

func (j *journal) reopen() {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, of := range j.running {
		j.kills[of]++
	}
	clear(j.running)
}

func identOf(j *worker.Job) string {
	if id := j.Identity(); id != "" {
		return j.Function() + " " + id
	}
	return j.Server() + " " + j.Handle()
}

// Begin implements worker.Journal.
func (j *journal) Begin(of *worker.Job) (kills int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.running[of.Slot()] = identOf(of)
	return j.kills[identOf(of)]
}

// End implements worker.Journal.
func (j *journal) End(of *worker.Job) {
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.running, of.Slot())
}

// Settle implements worker.Journal.
func (j *journal) Settle(of *worker.Job) {
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.kills, identOf(of))
}
