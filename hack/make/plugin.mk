# The kubectl plugin, for this machine.
PLUGIN := $(ROOT)/build/bin/kubectl-gearman

.PHONY: plugin
plugin: ## the kubectl plugin, in build/bin
	@go build -trimpath -ldflags "-X github.com/gearman-operator/gearman-operator/internal/version.Version=$(VERSION)" -o $(PLUGIN) ./cmd/kubectl-gearman
