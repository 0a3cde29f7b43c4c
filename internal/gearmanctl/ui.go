package gearmanctl

import (
	"context"
	"slices"

	"github.com/gearman-operator/gearman-operator/internal/cli"
	"github.com/gearman-operator/gearman-operator/internal/page"
)

// poolServers finds the job servers of the pools that serve a function.
func poolServers(source page.Source) func(ctx context.Context, function string) ([]cli.Endpoint, error) {
	return func(ctx context.Context, function string) ([]cli.Endpoint, error) {
		s, err := source.Snapshot(ctx)
		if err != nil {
			return nil, err
		}
		var all []cli.Endpoint
		for _, p := range s.Pools {
			if slices.Contains(p.Functions, function) {
				for _, server := range p.Servers {
					all = append(all, cli.Endpoint{Name: server, Addr: server})
				}
				break
			}
		}
		return all, nil
	}
}
