# The quick start, by the very commands of its page.

# Ours to clean up first are the clusters that we make ourselves, not somebody's own context.
.PHONY: quickstart
quickstart: ## run the commands of docs/quickstart.md on the real cluster, from nothing, and time them
	@before="Clean up"; [ "$$($(CLUSTER_DIR)/target.sh name)" != current ] || before=; \
	go run ./test/docrun -file docs/quickstart.md -result quickstart_s -unmeasured "Cluster,Clean up" -before "$$before"

.PHONY: docs-shots
docs-shots: cluster-ready plugin ## take the pictures and outputs that the docs show from a run of the demo
	@eval "$$($(MAKE) --no-print-directory -s cluster-env)"; IMAGE_ARCHIVE="$(IMAGE_ARCHIVE)" hack/docs-shots
