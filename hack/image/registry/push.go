// Package registry pushes OCI archives to a container registry, and asks one for digests.
package registry

import (
	"context"
	"fmt"
	"os"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/gearman-operator/gearman-operator/hack/image/oci"
)

// Push pushes the image of an archive, with all its architectures, and returns its digest.
// Registries on this machine are spoken to without TLS.
func Push(ctx context.Context, archive, image string) (v1.Hash, error) {
	to, err := name.ParseReference(image, name.StrictValidation)
	if err != nil {
		return v1.Hash{}, fmt.Errorf("the image's name must be REGISTRY/NAME:TAG: %w", err)
	}
	dir, err := os.MkdirTemp("", "push-")
	if err != nil {
		return v1.Hash{}, err
	}
	defer os.RemoveAll(dir)
	if err := oci.Unpack(archive, dir); err != nil {
		return v1.Hash{}, fmt.Errorf("unpacking %s: %w", archive, err)
	}
	all, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		return v1.Hash{}, fmt.Errorf("%s is not an OCI archive: %w", archive, err)
	}
	manifest, err := all.IndexManifest()
	if err != nil {
		return v1.Hash{}, err
	}
	if n := len(manifest.Manifests); n != 1 || !manifest.Manifests[0].MediaType.IsIndex() {
		return v1.Hash{}, fmt.Errorf(
			"%s must hold one image with an index of its architectures; it holds %d manifests", archive, n,
		)
	}
	digest := manifest.Manifests[0].Digest
	index, err := all.ImageIndex(digest)
	if err != nil {
		return v1.Hash{}, err
	}
	if err := remote.WriteIndex(
		to, index, remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain),
	); err != nil {
		return v1.Hash{}, fmt.Errorf("pushing %s: %w", image, err)
	}
	return digest, nil
}
