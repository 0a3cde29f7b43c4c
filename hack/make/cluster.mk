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
cluster-up: ## bring up a real Kubernetes (CLUSTER=local|kind|current), building it where it is missing
	@$(CLUSTER_DIR)/up.sh

cluster-down: ## take it down again, with everything it made
	@$(CLUSTER_DIR)/down.sh

# IMAGE is an archive, or the name of the project's own image, which is built where it is missing.
cluster-load: ## make an image known to the cluster: IMAGE=archive.tar, or nothing for the project's own
	@if [ -f "$(IMAGE)" ]; then $(CLUSTER_DIR)/load-image.sh "$(IMAGE)"; else $(MAKE) --no-print-directory image && $(CLUSTER_DIR)/load-image.sh "$(IMAGE_ARCHIVE)"; fi

# For eval in a shell. helm is the project's own; kubectl is the cluster's where the machine has none.
.PHONY: cluster-env
cluster-env: $(HELM) plugin ## print what a shell needs to use the cluster: eval "$$(make -s cluster-env)"
	@kubectl=; command -v kubectl >/dev/null || kubectl=:$$($(CLUSTER_DIR)/build.sh assets); \
	echo "export KUBECONFIG='$$($(CLUSTER_DIR)/target.sh kubeconfig)' PATH='$(ROOT)/build/bin:$(dir $(HELM))$$kubectl':\"\$$PATH\""
