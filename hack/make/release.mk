# What a release consists of, made by one command on one machine; nothing is uploaded. Its version is the tag of the commit (v1.2.3); on a
# commit without one, or where VERSION is given, it is VERSION.
TAG_VERSION = $(patsubst v%,%,$(shell git describe --tags --exact-match --match 'v[0-9]*' 2>/dev/null))
RELEASE_VERSION = $(if $(filter command line environment,$(origin VERSION)),$(VERSION),$(or $(TAG_VERSION),$(VERSION)))

.PHONY: release
release: $(HELM) $(CYCLONEDX) $(NFPM) ## binaries, Debian packages, image, chart, manifest, SBOMs, krew manifest and checksums in build/release; VERSION is the commit's tag
	@VERSION="$(RELEASE_VERSION)" hack/release $(ROOT)/build/release

.PHONY: release-check
release-check: cluster-up $(HELM) $(CYCLONEDX) $(NFPM) ## make a release twice, compare, and install from it on the real cluster
	@eval "$$($(MAKE) --no-print-directory -s cluster-env)"; VERSION="$(RELEASE_VERSION)" CLUSTER_DIR="$(CLUSTER_DIR)" hack/release-check
