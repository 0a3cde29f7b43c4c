# What a release consists of, made by one command on one machine; nothing is uploaded.
.PHONY: release
release: $(HELM) $(CYCLONEDX) ## binaries, image, chart, manifests, SBOMs and checksums of VERSION in build/release
	@VERSION="$(VERSION)" hack/release $(ROOT)/build/release
