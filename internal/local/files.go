package local

import (
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/gearman-operator/gearman-operator/api/v1alpha1"
	"github.com/gearman-operator/gearman-operator/internal/backlog"
	"github.com/gearman-operator/gearman-operator/internal/poolfile"
)

// read reads all files. Nothing is changed before all of them are valid.
func (f *Fleet) read() (files map[string]string, pools []v1alpha1.GearmanWorkerPool, err error) {
	files = map[string]string{}
	from := map[backlog.PoolKey]string{}
	for _, name := range f.o.Files {
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, nil, err
		}
		files[name] = string(data)
		content, err := poolfile.Parse(data, poolfile.Options{NoImage: true})
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", name, err)
		}
		for _, pool := range content.Pools {
			key := backlog.PoolKey{Namespace: pool.Namespace, Name: pool.Name}
			if other, twice := from[key]; twice {
				return nil, nil, fmt.Errorf("%s: pool %s is in %s too: give one of them another name", name, key, other)
			}
			from[key] = name
			pools = append(pools, pool)
		}
	}
	return files, pools, nil
}

// reload reads the files again if they have changed. While they are invalid, the last valid ones
// stay in use.
func (f *Fleet) reload(asked bool) {
	if f.stopping || (!asked && !f.changed()) {
		return
	}
	files, pools, err := f.read()
	if err == nil {
		err = f.apply(files, pools)
	}
	if err != nil {
		f.log.Error("The files can't be used; the pools stay as they are", "error", err)
		f.recordFiles() // the next change is tried again
		return
	}
	f.log.Info("Files read again", "pools", len(pools))
}

// changed reports whether a file differs from what was last read.
func (f *Fleet) changed() bool {
	return slices.ContainsFunc(f.o.Files, func(name string) bool {
		data, err := os.ReadFile(name)
		return err == nil && string(data) != f.files[name]
	})
}

// recordFiles records the files' present state.
func (f *Fleet) recordFiles() {
	for _, name := range f.o.Files {
		if data, err := os.ReadFile(name); err == nil {
			f.files[name] = string(data)
		}
	}
}

// apply updates the pools to those of the files, like kubectl apply --prune.
func (f *Fleet) apply(files map[string]string, specs []v1alpha1.GearmanWorkerPool) error {
	// All plans are made before the first one is used.
	plans := make([]plan, len(specs))
	for i := range specs {
		var err error
		if plans[i], err = f.planFor(&specs[i]); err != nil {
			return fmt.Errorf("pool %s/%s: %w", specs[i].Namespace, specs[i].Name, err)
		}
	}
	wanted := map[backlog.PoolKey]bool{}
	for _, plan := range plans {
		wanted[plan.key] = true
		p := f.pools[plan.key]
		if p == nil {
			var err error
			if p, err = f.newPool(plan.key); err != nil {
				return err
			}
			f.pools[plan.key] = p
		}
		if err := p.use(plan); err != nil {
			return err
		}
	}
	for key, p := range f.pools {
		if !wanted[key] && !p.leaving {
			f.log.Info("The pool is no longer in the files: its workers finish their jobs", "pool", key.String())
			p.stopWorkers()
		}
	}
	f.files = files
	for _, p := range f.pools {
		p.decide(time.Now())
	}
	return nil
}
