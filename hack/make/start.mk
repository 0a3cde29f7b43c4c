# Start here: what shows the product, on this machine or on a cluster.

# Without a cluster.
GEARMANCTL := $(ROOT)/build/bin/gearmanctl

.PHONY: gearmanctl
gearmanctl: ## gearmanctl, in build/bin
	@go build -trimpath -ldflags "-s -w -X github.com/gearman-operator/gearman-operator/internal/version.Version=$(VERSION)" -o $(GEARMANCTL) ./cmd/gearmanctl

# What a machine downloads is small enough to be copied around. A new import that brings megabytes shows here.
GEARMANCTL_MIB := 25

.PHONY: gearmanctl-size
gearmanctl-size: gearmanctl ## gearmanctl has at most 25 MiB
	@echo "verify: gearmanctl has at most $(GEARMANCTL_MIB) MiB"
	@size=$$(wc -c <$(GEARMANCTL)); if ((size > $(GEARMANCTL_MIB) * 1024 * 1024)); then \
	  echo "verify: gearmanctl has $$size bytes, more than $(GEARMANCTL_MIB) MiB; go build -o /tmp/gearmanctl ./cmd/gearmanctl && go tool nm -size -sort size /tmp/gearmanctl shows what is large" >&2; exit 1; \
	fi

.PHONY: try
try: ## see a pool work on this machine: no cluster, root or Docker; about a minute, and another one for the first build
	@echo "try: builds gearmanctl (one static binary; the first time about a minute, from modules of the Go proxy), then runs 300 jobs."
	@echo "try: it needs no root, Docker or cluster, installs nothing, and leaves nothing running."
	@start=$$(date +%s); $(MAKE) --no-print-directory -s gearmanctl; \
	$(GEARMANCTL) demo --result --build-time "$$(($$(date +%s) - start))s"

# The kubectl plugin, for this machine.
PLUGIN := $(ROOT)/build/bin/kubectl-gearman

.PHONY: plugin
plugin: ## the kubectl plugin, in build/bin
	@go build -trimpath -ldflags "-X github.com/gearman-operator/gearman-operator/internal/version.Version=$(VERSION)" -o $(PLUGIN) ./cmd/kubectl-gearman

# On a cluster.
# What comes before the demo takes long the first time: it is said first.
.PHONY: demo-notice
demo-notice:
	@echo "demo: sets up a cluster of this project's own, unless CLUSTER names another: the first time it builds a whole Kubernetes from Go"
	@echo "demo: modules (10 to 30 minutes, kept in $(CACHE)) and installs the Debian packages that this needs."
	@echo "demo: without a cluster, root and waiting: make try"

.PHONY: demo
demo: demo-notice cluster-ready ## the main job end to end: a cluster, a job server, 500 jobs, workers from zero to zero
	@KUBECONFIG="$$($(CLUSTER_DIR)/target.sh kubeconfig)" go run ./test/demo -image "$(IMAGE)" -archive "$(IMAGE_ARCHIVE)" -reports "$(REPORTS)"

# The quick start, by the very commands of its page. Ours to clean up first are the clusters that we make ourselves, not somebody's own context.
.PHONY: quickstart
quickstart: ## run the commands of docs/quickstart.md on the real cluster, from nothing, and time them
	@before="Clean up"; [ "$$($(CLUSTER_DIR)/target.sh name)" != current ] || before=; \
	go run ./test/docrun -file docs/quickstart.md -result quickstart_s -unmeasured "Cluster,Clean up" -before "$$before"

# One of examples/ on the real cluster, by one command.
NAME ?=

# What the example needs is asked first, so that a wrong NAME fails at once.
.PHONY: example example-name
example-name:
	@hack/example "$(NAME)" --public >/dev/null

example: example-name cluster-ready example-images plugin ## run an example on the real cluster: NAME=php, typescript, team, cronjob, ... (without NAME: a list)
	@if [ "$$($(CLUSTER_DIR)/target.sh name)" = local ]; then \
	  archives=$$($(ROOT)/test/images/public.sh $(ROOT)/build/image $$(hack/example "$(NAME)" --public)); \
	  [ -z "$$archives" ] || $(CLUSTER_DIR)/load-image.sh $$archives; \
	fi
	@case "$(NAME)" in symfony | laravel) $(ROOT)/test/images/examples.sh $(ROOT)/build/image "$(NAME)";; esac
	@archive=$(ROOT)/build/image/$(NAME)-worker.tar; [ ! -f "$$archive" ] || $(CLUSTER_DIR)/load-image.sh "$$archive"
	@eval "$$($(MAKE) --no-print-directory -s cluster-env)"; hack/example "$(NAME)"
