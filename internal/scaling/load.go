package scaling

import "math"

// maxPoints bounds the history of a function's work: a window in 16 parts.
const maxPoints = 18

// Point is a function's work and queue at a time.
type Point struct {
	At, Work float64
	Queued   float64
}

// loadWindow is the time over which the load of jobs of mean time s is measured, in seconds: long
// enough for a few jobs, at least 2 minutes, at most half an hour.
func loadWindow(s float64) float64 { return clamp(2*s, 120, 1800) }

// load is the work that arrives for the function, in slots that it keeps busy (slot-seconds a
// second, Erlang):
//
//	a = max(0, (dB + s dQ) / w)
//
// dB is the work done within the last w seconds, failed jobs included, dQ the number of jobs by
// which the queue grew meanwhile. start is when the history begins.
func (f *Function) load(now, queued, s, start float64) float64 {
	w := loadWindow(s)
	if len(f.Points) == 0 {
		return 0
	}
	from := now - w
	p := f.Points[0]
	if p.At > from {
		// The history begins within the window: nothing happened before it, unless the state begins
		// there.
		w = min(w, max(now-start, 1))
		return max(0, (f.Work-p.Work+s*(queued-p.Queued))/w)
	}
	for i := 1; i < len(f.Points) && f.Points[i-1].At <= from; i++ {
		q := f.Points[i]
		if q.At <= from {
			p = q
			continue
		}
		part := (from - p.At) / (q.At - p.At)
		p.Work += part * (q.Work - p.Work)
		p.Queued += part * (q.Queued - p.Queued)
		break
	}
	return max(0, (f.Work-p.Work+s*(queued-p.Queued))/w)
}

// recordPoint keeps the values of the last sample (its time, work and queue) for later calls of
// load: at most once in a sixteenth of the window, and none while the function is idle. queued is
// the present queue.
func (f *Function) recordPoint(now, before, work, queuedBefore, queued, s float64) {
	w := loadWindow(s)
	still := f.Work == work && queuedBefore == 0 && queued == 0
	n := len(f.Points)
	if n == 0 {
		if !still {
			f.Points = append(f.Points, Point{before, work, queuedBefore})
		}
		return
	}
	if before-f.Points[n-1].At < w/16 {
		return
	}
	if last := f.Points[n-1]; still && last.Work == work && last.Queued == 0 && last.At <= now-w {
		f.Points = nil
		return
	}
	// Keep one point older than the window.
	drop := 0
	for drop+1 < n && f.Points[drop+1].At <= now-w {
		drop++
	}
	drop = max(drop, n-maxPoints+1)
	f.Points = f.Points[:copy(f.Points, f.Points[drop:])]
	f.Points = append(f.Points, Point{before, work, queuedBefore})
}

// keep is how many slots the load a keeps: a small excess over a whole number adds no slot.
func keep(a float64) float64 { return max(0, math.Ceil(a-0.05)) }
