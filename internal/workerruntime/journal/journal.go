package journal

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Job identifies the job of a record.
type Job struct {
	Server   string `json:"server"`
	Handle   string `json:"handle"`
	Function string `json:"function"`
	Unique   string `json:"unique"` // the same for all attempts; empty: the job has none
}

// ident returns what two runs of one job have in common: its function and key, or its handle if it
// has no key.
func (j Job) ident() Job {
	if j.Unique != "" {
		j.Server, j.Handle = "", ""
	}
	return j
}

// kill counts the runs of a job that ended with the death of a worker.
type kill struct {
	Job   Job       `json:"job"`
	Kills int       `json:"kills"`
	Last  time.Time `json:"last"`
}

const (
	recordSize = 1 << 10        // of a slot: a length and the bytes of each text, behind the mark
	mostFiles  = 1000           // workers in one directory
	mostKills  = 1000           // remembered; the oldest are dropped first
	keepFor    = 24 * time.Hour // after that a job has surely ended elsewhere
)

// Journal is the journal of one worker. Several goroutines may call its methods, but only one at a
// time for each slot.
type Journal struct {
	file    *os.File
	records []byte
	path    string // of the file of kills
	any     atomic.Bool

	mu    sync.Mutex
	kills map[Job]kill
}

// Open takes over the file of a dead worker, or makes a new one. It counts the jobs that the dead
// worker was running.
func Open(dir string, slots int) (*Journal, error) {
	for n := range mostFiles {
		path := filepath.Join(dir, fmt.Sprintf("gearman-worker-%d.journal", n))
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, fmt.Errorf("journal: %w", err)
		}
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return open(f, path+".kills", slots)
		}
		f.Close()
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("journal: lock %s: %w", path, err)
		}
	}
	return nil, fmt.Errorf("journal: %d workers are already running with the directory %s", mostFiles, dir)
}

func open(f *os.File, killsPath string, slots int) (j *Journal, err error) {
	defer func() {
		if err != nil {
			f.Close()
			err = fmt.Errorf("journal: %w", err)
		}
	}()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	old := int(info.Size()) / recordSize
	size := max(old, slots) * recordSize
	if err := f.Truncate(int64(size)); err != nil {
		return nil, err
	}
	m, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, os.NewSyscallError("mmap", err)
	}
	j = &Journal{file: f, records: m, path: killsPath, kills: map[Job]kill{}}
	if err := j.load(); err != nil {
		_ = unix.Munmap(m)
		return nil, err
	}
	now, found := time.Now(), false
	for slot := range old {
		job, ok := decode(j.record(slot))
		if !ok {
			continue
		}
		found = true
		k := j.kills[job.ident()]
		j.kills[job.ident()] = kill{Job: job.ident(), Kills: k.Kills + 1, Last: now}
	}
	if found {
		// The kills are saved first: counting a record twice is better than losing it.
		err = j.save()
	}
	for slot := range size / recordSize {
		j.record(slot)[0] = 0
	}
	j.any.Store(len(j.kills) > 0)
	return j, err
}

func (j *Journal) record(slot int) []byte { return j.records[slot*recordSize : (slot+1)*recordSize] }

// Begin records that a slot runs a job, and returns how many runs of it ended with the death of a
// worker of this journal.
func (j *Journal) Begin(slot int, job Job) (kills int) {
	if j.any.Load() {
		j.mu.Lock()
		kills = j.kills[job.ident()].Kills
		j.mu.Unlock()
	}
	encode(j.record(slot), job)
	return kills
}

// End records that a slot no longer runs its job.
func (j *Journal) End(slot int) { j.record(slot)[0] = 0 }

// Settle forgets the kills of a job.
func (j *Journal) Settle(job Job) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.kills, job.ident())
	j.any.Store(len(j.kills) > 0)
	return j.save()
}

// Close frees the journal. No job may be running.
func (j *Journal) Close() error {
	return errors.Join(unix.Munmap(j.records), j.file.Close())
}

// encode writes a record. The mark comes last, so that a record that is half written is none.
func encode(rec []byte, job Job) {
	rec[0] = 0
	at := 1
	for _, s := range [...]string{job.Server, job.Handle, job.Function, job.Unique} {
		s = s[:min(len(s), (recordSize-1)/4-2)]
		binary.LittleEndian.PutUint16(rec[at:], uint16(len(s))) //nolint:gosec // cut above
		at += 2 + copy(rec[at+2:], s)
	}
	rec[0] = 1
}

func decode(rec []byte) (job Job, ok bool) {
	if rec[0] != 1 {
		return job, false
	}
	at := 1
	for _, s := range [...]*string{&job.Server, &job.Handle, &job.Function, &job.Unique} {
		if at+2 > len(rec) {
			return job, false
		}
		n := int(binary.LittleEndian.Uint16(rec[at:]))
		if at += 2; at+n > len(rec) {
			return job, false
		}
		*s = string(rec[at : at+n])
		at += n
	}
	return job, job.Function != ""
}

// load reads the kills that earlier workers left.
func (j *Journal) load() error {
	b, err := os.ReadFile(j.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var list []kill
	if err := json.Unmarshal(b, &list); err != nil {
		return fmt.Errorf("%s: %w; remove the file", j.path, err)
	}
	for _, k := range list {
		if time.Since(k.Last) < keepFor {
			j.kills[k.Job] = k
		}
	}
	return nil
}

// save replaces the file of kills with a new one.
func (j *Journal) save() error {
	list := make([]kill, 0, len(j.kills))
	for _, k := range j.kills {
		list = append(list, k)
	}
	for len(list) > mostKills {
		oldest := 0
		for i := range list {
			if list[i].Last.Before(list[oldest].Last) {
				oldest = i
			}
		}
		delete(j.kills, list[oldest].Job)
		list[oldest] = list[len(list)-1]
		list = list[:len(list)-1]
	}
	b, err := json.Marshal(list)
	if err != nil {
		return err
	}
	if err := os.WriteFile(j.path+".new", b, 0o600); err != nil {
		return err
	}
	return os.Rename(j.path+".new", j.path)
}
