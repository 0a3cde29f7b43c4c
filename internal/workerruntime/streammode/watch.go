package streammode

import (
	"context"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/gearman-operator/gearman-operator/gearman"
)

// maxWatched bounds how many files below a watched directory are checked.
const maxWatched = 10000

// watch replaces the processes when a watched file changes. It checks the files from time to time
// instead of using the kernel's notifications. That works on every file system and through the
// symbolic links that swap ConfigMaps, and needs no watches, of which a node has few. loaded are
// the files that the first processes have read. A change must be one period old without a further
// one, so that a deployment that writes many files causes one reload.
func (p *Pool) watch(ctx context.Context, loaded fileSum) {
	last := loaded
	for {
		_ = gearman.Sleep(ctx, p.timing.WatchEvery) // the loop sees the end of ctx
		if ctx.Err() != nil {
			return
		}
		now := fingerprint(p.opts.Watch)
		if now == last && now != loaded {
			loaded = now
			p.opts.Log.LogAttrs(ctx, slog.LevelInfo, "Watched files have changed, replacing the processes")
			p.Reload()
		}
		last = now
	}
}

type fileSum struct {
	files int
	bytes int64
	sum   uint64 // over names and times
}

func fingerprint(paths []string) (fp fileSum) {
	add := func(path string, info fs.FileInfo) {
		fp.files++
		fp.bytes += info.Size()
		h := uint64(info.ModTime().UnixNano())
		for i := range len(path) {
			h = (h ^ uint64(path[i])) * 1099511628211 // FNV-1a's step
		}
		fp.sum += h
	}
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			continue // a deleted file is a change too
		}
		if !info.IsDir() {
			add(path, info)
			continue
		}
		// The walk doesn't follow links, but a watched directory may be one itself.
		_ = filepath.WalkDir(path+string(filepath.Separator), func(name string, _ fs.DirEntry, err error) error {
			if err != nil || fp.files >= maxWatched {
				return fs.SkipAll
			}
			if info, err := os.Stat(name); err == nil && !info.IsDir() {
				add(name, info)
			}
			return nil
		})
	}
	return fp
}
