# The first minute: pools on this machine, without a cluster.
GEARMANCTL := $(ROOT)/build/bin/gearmanctl

.PHONY: gearmanctl
gearmanctl: ## gearmanctl, in build/bin
	@go build -trimpath -ldflags "-s -w -X github.com/gearman-operator/gearman-operator/internal/version.Version=$(VERSION)" -o $(GEARMANCTL) ./cmd/gearmanctl

.PHONY: try
try: ## see a pool work on this machine: no cluster, root or Docker; about a minute, and another one for the first build
	@echo "try: builds gearmanctl (one static binary; the first time about a minute, from modules of the Go proxy), then runs 300 jobs."
	@echo "try: it needs no root, Docker or cluster, installs nothing, and leaves nothing running."
	@start=$$(date +%s); $(MAKE) --no-print-directory -s gearmanctl; \
	$(GEARMANCTL) demo --result --build-time "$$(($$(date +%s) - start))s"

MINUTES ?= 60

.PHONY: soak-up
soak-up: ## gearmanctl up is killed again and again while jobs run, for MINUTES: none may be lost, interrupted or run twice
	@SOAK_UP_MINUTES=$(MINUTES) go test -count 1 -v -timeout $$(($(MINUTES) + 10))m -run 'TestSoakUp$$' ./internal/gearmanctl
