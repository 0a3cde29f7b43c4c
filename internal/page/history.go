package page

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

const (
	// historyEvery is the time between two points, historyPoints how many there are: an hour.
	historyEvery  = 10 * time.Second
	historyPoints = 360
	// historyPools is how many pools have a history, 14 KiB each.
	historyPools = 2000
	sparkPoints  = 60
)

// point is one entry of a pool's history.
type point struct {
	at                                int64 // seconds since 1970
	queued, running                   float32
	wait                              float32
	desired, ready, max               float32
	completed, failed                 int64
	completedPerSecond, failedPerSecs float32
}

// series is the last hour of a pool, oldest first.
type series struct {
	points []point
	seen   bool
}

// history is the last hour of all pools.
type history struct {
	mu    sync.Mutex
	next  time.Time
	pools map[string]*series
}

// add records a snapshot when it is due. Deleted pools are dropped.
func (h *history) add(s *Snapshot) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s.At.Before(h.next) {
		return
	}
	h.next = s.At.Add(historyEvery)
	for i := range s.Pools {
		p := &s.Pools[i]
		key := p.Namespace + "/" + p.Name
		of := h.pools[key]
		if of == nil {
			if len(h.pools) >= historyPools {
				continue
			}
			of = &series{}
			h.pools[key] = of
		}
		of.seen = true
		completed, failed := p.Completed, p.Failed
		if p.LastHour {
			completed, failed = 0, 0 // these fall, too: they have no rate
		}
		of.add(point{
			at: s.At.Unix(), queued: float32(p.Queued), running: float32(p.Running), wait: float32(p.WaitSeconds),
			desired: float32(p.Desired), ready: float32(p.Ready), max: float32(p.Max), completed: completed,
			failed: failed,
		})
	}
	for key, of := range h.pools {
		if !of.seen {
			delete(h.pools, key)
		}
		of.seen = false
	}
}

func (s *series) add(p point) {
	if n := len(s.points); n > 0 {
		last := &s.points[n-1]
		if seconds := float32(p.at - last.at); seconds > 0 {
			p.completedPerSecond = float32(max(0, p.completed-last.completed)) / seconds
			p.failedPerSecs = float32(max(0, p.failed-last.failed)) / seconds
		}
	}
	if len(s.points) == historyPoints {
		s.points = append(s.points[:0], s.points[1:]...)
	}
	s.points = append(s.points, p)
}

// shown is a pool's history as the charts need it: a list for each figure.
type shown struct {
	At            []int64   `json:"at"`
	Queued        []float32 `json:"queued"`
	Running       []float32 `json:"running"`
	Wait          []float32 `json:"wait"`
	Desired       []float32 `json:"desired"`
	Ready         []float32 `json:"ready"`
	Max           []float32 `json:"max"`
	CompletedRate []float32 `json:"completedRate"`
	FailedRate    []float32 `json:"failedRate"`
}

func (h *history) of(key string) (shown, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	of := h.pools[key]
	if of == nil {
		return shown{}, false
	}
	var out shown
	for _, p := range of.points {
		out.At = append(out.At, p.at)
		out.Queued = append(out.Queued, p.queued)
		out.Running = append(out.Running, p.running)
		out.Wait = append(out.Wait, p.wait)
		out.Desired = append(out.Desired, p.desired)
		out.Ready = append(out.Ready, p.ready)
		out.Max = append(out.Max, p.max)
		out.CompletedRate = append(out.CompletedRate, p.completedPerSecond)
		out.FailedRate = append(out.FailedRate, p.failedPerSecs)
	}
	return out, true
}

// spark is a small curve of a pool's queue, in a box of 120 by 24, and its greatest value.
func (h *history) spark(key string) (points string, most float32) {
	h.mu.Lock()
	defer h.mu.Unlock()
	of := h.pools[key]
	if of == nil || len(of.points) < 2 {
		return "", 0
	}
	values := make([]float32, 0, sparkPoints)
	each := (len(of.points) + sparkPoints - 1) / sparkPoints
	for i := 0; i < len(of.points); i += each {
		high := float32(0)
		for _, p := range of.points[i:min(len(of.points), i+each)] {
			high = max(high, p.queued)
		}
		values, most = append(values, high), max(most, high)
	}
	var b strings.Builder
	for i, v := range values {
		fmt.Fprintf(&b, "%.1f,%.1f ", 120*float32(i)/float32(max(1, len(values)-1)), 23-22*v/max(1, most))
	}
	return strings.TrimSpace(b.String()), most
}
