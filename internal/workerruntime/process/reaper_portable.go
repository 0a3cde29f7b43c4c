//go:build !linux || portable

package process

import (
	"context"
	"errors"
	"fmt"
)

// AdoptOrphans can't be done here: process 1 of the machine adopts and reaps them.
func AdoptOrphans() error { return fmt.Errorf("become subreaper: %w", errors.ErrUnsupported) }

// ReapOrphans waits for ctx; no orphan comes to this process.
func (t *Table) ReapOrphans(ctx context.Context) { <-ctx.Done() }
