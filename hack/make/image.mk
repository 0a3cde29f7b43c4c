# The image of the project, and the images of the demo and the tests.

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

DEMO_ARCHIVES := $(ROOT)/build/image/gearmand.tar $(ROOT)/build/image/demo.tar

.PHONY: demo-images
demo-images: ## images of gearmand and of the demo's job, from Debian's packages
	@$(ROOT)/test/images/gearmand.sh $(ROOT)/build/image/gearmand.tar
	@$(ROOT)/test/images/demo.sh $(ROOT)/build/image/demo.tar

.PHONY: publish-check
publish-check: cluster-up $(HELM) demo-images plugin ## publish to a registry of its own, install from it with Helm and with Kustomize, and run a pool
	@eval "$$($(MAKE) --no-print-directory -s cluster-env)"; VERSION="$(VERSION)" ARCHES="$(PUBLISH_ARCHES)" DEMO_ARCHIVES="$(DEMO_ARCHIVES)" HELM="$(HELM)" CLUSTER_DIR="$(CLUSTER_DIR)" hack/publish-check

EXAMPLES := php python shell http
EXAMPLE_ARCHIVES := $(EXAMPLES:%=$(ROOT)/build/image/%-worker.tar)

.PHONY: example-images
example-images: ## images of the pools in examples/, from Debian's packages, in build/image
	@$(ROOT)/test/images/examples.sh $(ROOT)/build/image

.PHONY: image-check
image-check: ## two builds of the image are the same, to the byte
	@ARCHES="$$(go env GOARCH)" $(ROOT)/hack/image/check.sh

.PHONY: image-check-dockerfile
image-check-dockerfile: ## the Dockerfile makes the same image, by buildah or Docker where one is at hand
	@$(ROOT)/hack/image/check-dockerfile.sh
