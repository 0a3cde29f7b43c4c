# The main job end to end on a real cluster: shown by the demo, asserted by the end-to-end tests.

E2E_FLAGS ?=
E2E_TIMEOUT ?= 20m

# ARCHES: a local cluster needs the machine's own architecture only.
.PHONY: cluster-ready
cluster-ready: cluster-up $(HELM)
	@$(MAKE) --no-print-directory -s image ARCHES="$$(go env GOARCH)"
	@$(MAKE) --no-print-directory -s demo-images
	@$(CLUSTER_DIR)/load-image.sh $(IMAGE_ARCHIVE) $(DEMO_ARCHIVES)

# What comes before the demo takes long the first time: it is said first.
.PHONY: demo-notice
demo-notice:
	@echo "demo: sets up a cluster of this project's own, unless CLUSTER names another: the first time it builds a whole Kubernetes from Go"
	@echo "demo: modules (10 to 30 minutes, kept in $(CACHE)) and installs the Debian packages that this needs."
	@echo "demo: without a cluster, root and waiting: make try"

.PHONY: demo
demo: demo-notice cluster-ready ## the main job end to end: a cluster, a job server, 500 jobs, workers from zero to zero
	@KUBECONFIG="$$($(CLUSTER_DIR)/target.sh kubeconfig)" go run ./test/demo -image "$(IMAGE)" -archive "$(IMAGE_ARCHIVE)" -reports "$(REPORTS)"

# The next version, for the test of an upgrade: the same source under another version and name.
IMAGE_NEXT := $(IMAGE)-next
IMAGE_NEXT_ARCHIVE := $(ROOT)/build/image/gearman-operator-next.tar

.PHONY: e2e-ready
e2e-ready: cluster-ready example-images plugin
	@IMAGE=$(IMAGE_NEXT) VERSION=$(VERSION)-next ARCHES="$$(go env GOARCH)" $(ROOT)/hack/image/build.sh $(IMAGE_NEXT_ARCHIVE)
	@TAG=next $(ROOT)/test/images/demo.sh $(ROOT)/build/image/demo-next.tar
	@$(CLUSTER_DIR)/load-image.sh $(IMAGE_NEXT_ARCHIVE) $(ROOT)/build/image/demo-next.tar $(EXAMPLE_ARCHIVES)

E2E = KUBECONFIG="$$($(CLUSTER_DIR)/target.sh kubeconfig)" IMAGE="$(IMAGE)" IMAGE_ARCHIVE="$(IMAGE_ARCHIVE)" \
	IMAGE_NEXT="$(IMAGE_NEXT)" IMAGE_NEXT_ARCHIVE="$(IMAGE_NEXT_ARCHIVE)" PLUGIN="$(PLUGIN)" \
	go test -tags e2e -count 1 -v -timeout $(E2E_TIMEOUT)

# The life of a release comes last: it takes the operator away.
.PHONY: e2e
e2e: e2e-ready ## the quick start and the tests on the real cluster
	@$(MAKE) --no-print-directory -s quickstart
	@$(E2E) ./test/e2e -parallel 3 $(E2E_FLAGS)
	@$(E2E) ./test/e2e/lifecycle

.PHONY: e2e-lifecycle
e2e-lifecycle: e2e-ready ## of these, only the life of a release: upgraded, uninstalled, installed again
	@$(E2E) ./test/e2e/lifecycle
