# One of examples/ on the real cluster, by one command.
NAME ?=

.PHONY: example
example: cluster-ready example-images plugin ## run an example on the real cluster: NAME=reverse, shell, php, python or http
	@$(CLUSTER_DIR)/load-image.sh $(filter %/$(NAME)-worker.tar,$(EXAMPLE_ARCHIVES)) $(IMAGE_ARCHIVE)
	@eval "$$($(MAKE) --no-print-directory -s cluster-env)"; hack/example "$(NAME)"
