# The image of the project, and the images of the demo and the tests.

ARCHES ?= amd64,arm64
IMAGE_ARCHIVE := $(ROOT)/build/image/gearman-operator.tar
export VERSION IMAGE ARCHES

.PHONY: image
image: ## the project's image as an OCI archive in build/image, without Docker (ARCHES=amd64 for a quick one)
	@mkdir -p $(dir $(IMAGE_ARCHIVE))
	@$(ROOT)/hack/image/build.sh $(IMAGE_ARCHIVE)
