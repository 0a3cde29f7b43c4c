# The local Kubernetes (hack/cluster) and what tests against an API server need of it.

CLUSTER_DIR := $(ROOT)/hack/cluster

# Where kube-apiserver and etcd are for tests against an API server: set it to use your own, or let envtest-assets build them.
KUBEBUILDER_ASSETS ?= $(shell $(CLUSTER_DIR)/build.sh assets)

.PHONY: envtest-assets
envtest-assets: ## kube-apiserver, etcd and kubectl for tests (built once, 6 to 18 minutes); prints their directory
	@[ -x "$(KUBEBUILDER_ASSETS)/kube-apiserver" ] || $(CLUSTER_DIR)/build.sh control-plane
	@echo "$(KUBEBUILDER_ASSETS)"

# CLUSTER=local|kind|current; by default local where this machine can run it, else kind. Your own contexts are never touched unasked.
CLUSTER ?=
export CLUSTER

.PHONY: cluster-up cluster-down cluster-load
cluster-up: ## bring up a real Kubernetes (CLUSTER=local|kind|current), building it if it is missing
	@$(CLUSTER_DIR)/up.sh

cluster-down: ## take it down again, with everything it made
	@$(CLUSTER_DIR)/down.sh

# IMAGE is an archive, or the name of the project's own image, which is built where it is missing.
cluster-load: ## load an image into the cluster: IMAGE=archive.tar; without it the project's own
	@if [ -f "$(IMAGE)" ]; then $(CLUSTER_DIR)/load-image.sh "$(IMAGE)"; else $(MAKE) --no-print-directory image && $(CLUSTER_DIR)/load-image.sh "$(IMAGE_ARCHIVE)"; fi

# For eval in a shell. helm is the project's own; kubectl is the cluster's where the machine has none.
.PHONY: cluster-env
cluster-env: $(HELM) plugin ## print what a shell needs to use the cluster: eval "$$(make -s cluster-env)"
	@kubectl=; command -v kubectl >/dev/null || kubectl=:$$($(CLUSTER_DIR)/build.sh assets); \
	echo "export KUBECONFIG='$$($(CLUSTER_DIR)/target.sh kubeconfig)' PATH='$(ROOT)/build/bin:$(dir $(HELM))$$kubectl':\"\$$PATH\""

# The end-to-end tests. The demo shows the main job, these assert it.

E2E_FLAGS ?=
E2E_TIMEOUT ?= 20m

# ARCHES: a local cluster needs the machine's own architecture only.
.PHONY: cluster-ready
cluster-ready: cluster-up $(HELM)
	@$(MAKE) --no-print-directory -s image ARCHES="$$(go env GOARCH)"
	@$(MAKE) --no-print-directory -s demo-images
	@$(CLUSTER_DIR)/load-image.sh $(IMAGE_ARCHIVE) $(DEMO_ARCHIVES)

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
	PROMETHEUS="$$($(ROOT)/hack/promtool prometheus || true)" go test -tags e2e -count 1 -v -timeout $(E2E_TIMEOUT)

# The life of a release comes last: it takes the operator away.
.PHONY: e2e
e2e: e2e-ready ## the quick start and the tests on the real cluster
	@$(MAKE) --no-print-directory -s quickstart
	@$(E2E) ./test/e2e -parallel 3 $(E2E_FLAGS)
	@$(E2E) ./test/e2e/lifecycle

.PHONY: e2e-lifecycle
e2e-lifecycle: e2e-ready ## only the part of e2e about the life of a release: upgraded, uninstalled, installed again
	@$(E2E) ./test/e2e/lifecycle

# The end-to-end tests that need minutes of disturbance. All but the noise have short forms in make e2e, and the noise has one in make test.
.PHONY: e2e-long
e2e-long: e2e-ready ## the long forms of make e2e: replicas and images swing for five minutes, noise for ten
	@E2E_LONG=1 $(MAKE) --no-print-directory -s e2e-long-run E2E_TIMEOUT=40m

.PHONY: e2e-long-run
e2e-long-run:
	@$(E2E) ./test/e2e -tags 'e2e long' -parallel 3 -run 'Swing|Noise' $(E2E_FLAGS)

DEMO_ARCHIVES := $(ROOT)/build/image/gearmand.tar $(ROOT)/build/image/demo.tar

.PHONY: demo-images
demo-images: ## images of gearmand and of the demo's job, from Debian's packages
	@$(ROOT)/test/images/gearmand.sh $(ROOT)/build/image/gearmand.tar
	@$(ROOT)/test/images/demo.sh $(ROOT)/build/image/demo.tar

EXAMPLES := php python shell http
EXAMPLE_ARCHIVES := $(EXAMPLES:%=$(ROOT)/build/image/%-worker.tar)

.PHONY: example-images
example-images: ## images of the pools in examples/, from Debian's packages, in build/image
	@$(ROOT)/test/images/examples.sh $(ROOT)/build/image

.PHONY: docs-shots
docs-shots: cluster-ready plugin ## take the pictures and outputs that the docs show from a run of the demo
	@eval "$$($(MAKE) --no-print-directory -s cluster-env)"; IMAGE_ARCHIVE="$(IMAGE_ARCHIVE)" hack/docs-shots
