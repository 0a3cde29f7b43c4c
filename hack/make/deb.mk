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
