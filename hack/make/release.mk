# The image, the packages and the release.

ARCHES ?= amd64,arm64
IMAGE_ARCHIVE := $(ROOT)/build/image/gearman-operator.tar
export VERSION IMAGE ARCHES

.PHONY: image
image: ## the project's image as an OCI archive in build/image, without Docker (ARCHES=amd64 for a quick one)
	@mkdir -p $(dir $(IMAGE_ARCHIVE))
	@$(ROOT)/hack/image/build.sh $(IMAGE_ARCHIVE)

# REGISTRY is a host with a path, such as registry.example.com/team.
REGISTRY ?=

.PHONY: publish
publish: image $(HELM) ## push the image (amd64, arm64) and the chart to a registry: REGISTRY=registry.example.com/team
	@REGISTRY="$(REGISTRY)" IMAGE_ARCHIVE="$(IMAGE_ARCHIVE)" hack/publish

# The node of the local cluster needs one architecture; set it to amd64,arm64 to push both.
PUBLISH_ARCHES ?= $(shell go env GOARCH)

.PHONY: publish-check
publish-check: cluster-up $(HELM) demo-images plugin ## publish to a registry of its own, install from it with Helm and with Kustomize, and run a pool
	@eval "$$($(MAKE) --no-print-directory -s cluster-env)"; VERSION="$(VERSION)" ARCHES="$(PUBLISH_ARCHES)" DEMO_ARCHIVES="$(DEMO_ARCHIVES)" HELM="$(HELM)" CLUSTER_DIR="$(CLUSTER_DIR)" hack/publish-check

.PHONY: image-check
image-check: ## two builds of the image are the same, to the byte
	@ARCHES="$$(go env GOARCH)" $(ROOT)/hack/image/check.sh

.PHONY: pin-build-image
pin-build-image: ## put the digest of the Dockerfile's build image into the Dockerfile; needs its registry
	@hack/pin-build-image

.PHONY: image-check-dockerfile
image-check-dockerfile: ## the Dockerfile makes the same image, with buildah or Docker if one is installed
	@$(ROOT)/hack/image/check-dockerfile.sh

# The Debian package of gearmanctl and gearman-worker.
DEB_ARCH ?= $(shell go env GOARCH)
DEB := $(ROOT)/build/gearman-pools_$(VERSION)_$(DEB_ARCH).deb

.PHONY: deb
deb: $(NFPM) ## a Debian package of gearmanctl and gearman-worker, with units, manual pages and completions, in build
	@for arch in $(DEB_ARCH) $$(go env GOARCH); do for program in gearmanctl:gearmanctl worker:gearman-worker; do \
	  GOARCH=$$arch go build -trimpath -ldflags "-s -w -X github.com/gearman-operator/gearman-operator/internal/version.Version=$(VERSION)" \
	    -o $(ROOT)/build/deb/$$arch/$${program#*:} ./cmd/$${program%:*} || exit 1; done; done
	@OWN=$(ROOT)/build/deb/$$(go env GOARCH) VERSION=$(VERSION) SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) \
	  hack/deb/build $(ROOT)/build/deb/$(DEB_ARCH) $(DEB_ARCH) $(DEB)
	@echo "deb: $(DEB)"

# What a release consists of, made by one command on one machine; nothing is uploaded. Its version is the tag of the commit (v1.2.3); on a
# commit without one, or where VERSION is given, it is VERSION.
TAG_VERSION = $(patsubst v%,%,$(shell git describe --tags --exact-match --match 'v[0-9]*' 2>/dev/null))
RELEASE_VERSION = $(if $(filter command line environment,$(origin VERSION)),$(VERSION),$(or $(TAG_VERSION),$(VERSION)))

.PHONY: release
release: $(HELM) $(CYCLONEDX) $(NFPM) ## binaries, Debian packages, image, chart, manifest, SBOMs, krew manifest and checksums in build/release; VERSION is the commit's tag
	@VERSION="$(RELEASE_VERSION)" hack/release $(ROOT)/build/release

.PHONY: release-check
release-check: cluster-up $(HELM) $(CYCLONEDX) $(NFPM) $(KREW) ## make a release twice, compare, and install from it on the real cluster
	@eval "$$($(MAKE) --no-print-directory -s cluster-env)"; VERSION="$(RELEASE_VERSION)" CLUSTER_DIR="$(CLUSTER_DIR)" hack/release-check
