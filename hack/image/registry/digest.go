package registry

import (
	"context"
	"fmt"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// Digest asks a registry for the digest that an image's tag has now: that of the index if there are
// several architectures.
func Digest(ctx context.Context, image string) (v1.Hash, error) {
	ref, err := name.NewTag(image, name.StrictValidation)
	if err != nil {
		return v1.Hash{}, fmt.Errorf("the image's name must be REGISTRY/NAME:TAG: %w", err)
	}
	found, err := remote.Head(ref, remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain))
	if err != nil {
		return v1.Hash{}, fmt.Errorf("look up the digest of %s: %w", image, err)
	}
	return found.Digest, nil
}
