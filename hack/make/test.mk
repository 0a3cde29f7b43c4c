# Tests of the Go code: units, a real API server (envtest), real job servers. The cluster's own tests are in `make e2e`.

# The packages of all modules in go.work: "./..." alone stops at a module of its own.
PACKAGES := ./... ./gearman/...

# The oldest Go that the library builds with, from the Go module proxy; a release after the last needs no change here.
LIBRARY_GO ?= go1.25.14
TEST_FLAGS ?= -race
TEST_TIMEOUT ?= 20m

# Each of these starts an API server, an operator or a world of its own: one after the other, with the machine to itself.
ALONE := test/apiserver test/bench/scale test/bench/hostile test/world test/world/mutants

.PHONY: deps envtest-assets
.PHONY: test
test: test-notice deps envtest-assets $(HELM) $(KREW) $(NFPM) ## all Go tests, with the race detector, a real API server and real job servers
	@begin=$$SECONDS; \
	export KUBEBUILDER_ASSETS="$(KUBEBUILDER_ASSETS)" CGO_ENABLED=1 GEARMAN_TEST_ALL_LANGUAGES=1; \
	go test $(TEST_FLAGS) -timeout $(TEST_TIMEOUT) $$(go list $(PACKAGES) | grep -vE '/($(subst $() ,|,$(ALONE)))$$'); \
	go test -p 1 $(TEST_FLAGS) -timeout $(TEST_TIMEOUT) $(addprefix ./,$(ALONE)); \
	unset CGO_ENABLED; \
	$(TEST_PORTABLE); \
	(cd hack/image && GOWORK=off go test ./...); \
	(cd examples/library && GOWORK=off go test ./...); \
	$(TEST_LIBRARY); \
	echo "test: passed in $$((SECONDS - begin)) s"

# What comes before the tests takes long the first time: it is said first.
.PHONY: test-notice
test-notice:
	@echo "test: installs the Debian packages that are missing (make deps), and builds helm, nfpm and a kube-apiserver from Go modules"
	@echo "test: the first time (10 to 20 minutes; they are kept in $(CACHE));"
	@echo "test: then runs all tests with the race detector (5 to 15 minutes on two cores). It changes no cluster of yours."

# The backend for systems other than Linux, which can be run here by its build tag.
TEST_PORTABLE = echo "test: the portable backend"; \
	go test -tags portable ./internal/workerruntime/process ./internal/workerruntime/spool ./internal/workerruntime/execmode \
	./internal/workerruntime/streammode ./internal/workerruntime/journal ./internal/localworker

.PHONY: test-portable
test-portable: ## processes and spool files as on systems other than Linux, by the build tag "portable"
	@$(TEST_PORTABLE)

# Not by $(MAKE): make runs such a recipe even with -n.
TEST_LIBRARY = echo "test: gearman/ alone, with $(LIBRARY_GO)"; (cd gearman && GOWORK=off GOTOOLCHAIN=$(LIBRARY_GO) go vet ./... && GOWORK=off GOTOOLCHAIN=$(LIBRARY_GO) go test ./...)

.PHONY: test-library
test-library: deps ## the Gearman library by itself, with the oldest Go that it is for (LIBRARY_GO)
	@$(TEST_LIBRARY)

# Longer tests, and with other programs.

FUZZTIME ?= 10s

.PHONY: fuzz
fuzz: ## run all fuzz targets (decoders, the test server, the scaling law), FUZZTIME (10s) each
	FUZZTIME=$(FUZZTIME) nice -n 15 hack/gearman/fuzz.sh

RUNS ?= 1000

.PHONY: soak-drain
soak-drain: ## stop a worker softly under load on real job servers, RUNS (1000) times: no job lost, none run twice
	SOAK_RUNS=$(RUNS) go test -count=1 -timeout 60m -run TestDrainUnderLoad -v ./gearman/worker | grep -vE '^(=== |PASS)'

MINUTES ?= 60

.PHONY: soak-up
soak-up: ## gearmanctl up is killed again and again while jobs run, for MINUTES: none may be lost, interrupted or run twice
	@SOAK_UP_MINUTES=$(MINUTES) go test -count 1 -v -timeout $$(($(MINUTES) + 10))m -run 'TestSoakUp$$' ./internal/gearmanctl

CHAOS_FLAGS ?=

.PHONY: chaos-runtime
chaos-runtime: deps ## jobs in gearman-workers that are killed and lose their command, on a gearmand that is killed: the outcome of each job
	go build -trimpath -o build/chaos/gearman-worker ./cmd/worker
	go build -trimpath -o build/chaos/chaosruntime ./test/chaosruntime
	build/chaos/chaosruntime -worker build/chaos/gearman-worker $(CHAOS_FLAGS)

.PHONY: test-worker-long
test-worker-long: deps ## the worker's fault tests in full length: a job server that is unavailable for a minute, every language
	@GEARMAN_TEST_LONG=1 GEARMAN_TEST_ALL_LANGUAGES=1 go test -count 1 -timeout 10m ./internal/workerruntime/... ./examples/...

.PHONY: test-conformance
test-conformance: ## job servers x features: gearmantest, gearmand, Perl's Gearman::Server, GEARMAND2=path (report in build/reports)
	@mkdir -p $(REPORTS)
	@rm -f $(REPORTS)/conformance.md
	@status=0; CONFORMANCE_REPORT=$(REPORTS)/conformance.md go test ./test/conformance -run '^TestConformance$$' -count=1 \
		>$(REPORTS)/conformance.log 2>&1 || status=$$?; \
	if [ $$status -ne 0 ]; then cat $(REPORTS)/conformance.log >&2; fi; \
	if [ -f $(REPORTS)/conformance.md ]; then cat $(REPORTS)/conformance.md; fi; \
	exit $$status

.PHONY: test-interop
test-interop: ## our clients and workers with libgearman's CLI, php-gearman, Perl's Gearman::Client and npm's clients (report in build/reports)
	@mkdir -p $(REPORTS) "$(CACHE)/interop-npm"
	@cp test/interop/testdata/npm/package.json test/interop/testdata/npm/package-lock.json "$(CACHE)/interop-npm"
	@cd "$(CACHE)/interop-npm" && npm ci --silent --ignore-scripts --no-audit --no-fund || { echo "test-interop: npm could not install test/interop/testdata/npm (Debian: nodejs, npm)" >&2; exit 1; }
	@status=0; INTEROP_NPM="$(CACHE)/interop-npm" go test ./test/interop -count=1 -v >$(REPORTS)/interop.log 2>&1 || status=$$?; \
	if [ $$status -ne 0 ]; then cat $(REPORTS)/interop.log >&2; else grep -E '^ *--- |not in ' $(REPORTS)/interop.log; fi; \
	exit $$status

.PHONY: test-differential
test-differential: ## the same random requests to gearmantest and gearmand, for CONFORMANCE_SECONDS (60)
	CONFORMANCE_SECONDS=$${CONFORMANCE_SECONDS:-60} go test ./test/conformance -run '^TestDifferential$$' -count=1 -v

# The whole product under virtual time, against a played Kubernetes. See docs/testing.md.

world: SEEDS ?= 200
FROM ?= 1

.PHONY: world
world: deps ## SEEDS simulated clusters (200), each 10 to 20 virtual minutes, with faults; FROM is the first seed
	@mkdir -p "$(REPORTS)"
	@WORLD_SEEDS=$(SEEDS) WORLD_FROM=$(FROM) WORLD_REPORT="$(REPORTS)" go test -count=1 -timeout 60m -run '^TestWorld$$' -v ./test/world | grep -v '^=== RUN'
	@echo "world: report in $(REPORTS)/world.md"

.PHONY: world-seed
world-seed: deps ## one simulated cluster, SEED, with all that happened in build/reports/world-seed.txt
	@mkdir -p "$(REPORTS)"
	@WORLD_SEEDS=1 WORLD_FROM=$(SEED) WORLD_TRACE="$(REPORTS)/world-seed.txt" go test -count=1 -timeout 10m -run '^TestWorld$$' -v ./test/world | grep -v '^=== RUN'

MUTANT ?= all

.PHONY: world-mutants
world-mutants: deps ## known faults, put back one by one (or MUTANT): the simulated clusters must find each
	@WORLD_MUTANT=$(MUTANT) go test -count=1 -timeout 60m -run '^TestMutants$$' -v ./test/world | grep -v '^=== RUN'

# The page of internal/page in a real browser. Needs chromium (Debian's) and npm, for axe.
AXE_VERSION := 4.10.3
AXE := $(CACHE)/axe-core-$(AXE_VERSION)/package/axe.min.js

.PHONY: page-deps
page-deps: $(AXE)
	@command -v chromium >/dev/null || { sudo=; [ "$$(id -u)" = 0 ] || sudo=sudo; \
	  echo "page-deps: installing chromium (about 300 MB)"; \
	  $$sudo apt-get update -qq && DEBIAN_FRONTEND=noninteractive $$sudo apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core; }

$(AXE):
	@mkdir -p $(CACHE)/axe-core-$(AXE_VERSION) && cd $(CACHE)/axe-core-$(AXE_VERSION) && \
	npm pack --silent axe-core@$(AXE_VERSION) >/dev/null && tar xzf axe-core-$(AXE_VERSION).tgz

.PHONY: test-page
test-page: page-deps ## the page in headless Chromium: live, safe with hostile names, accessible
	AXE=$(AXE) go test -tags page -count 1 -v ./test/page

.PHONY: page-shots
page-shots: page-deps ## the pictures of the page in docs/
	AXE=$(AXE) SHOTS=$(ROOT)/docs/img go test -tags page -count 1 -run TestShots ./test/page

# What must hold before a change is merged, without running the tests. Each part can be run by itself.
.PHONY: verify
verify: tools-check verify-generated verify-format lint vet portable gearmanctl-size fix-check modules shellcheck lint-chart links ## generated code, format, lint, macOS builds, size, modern Go, modules, chart, shell scripts, links
	@echo "verify: all good"

GENERATED := api docs/api.md config/crd config/rbac $(CHART)/files $(CHART)/README.md $(CHART)/values.schema.json

.PHONY: verify-generated
verify-generated: ## make generate changes nothing
	@echo "verify: make generate changes nothing"
	@hack/verify-generated $(GENERATED)

.PHONY: fmt
fmt: $(GOLANGCI_LINT) ## format the Go code
	$(GOLANGCI_LINT) fmt

.PHONY: verify-format
verify-format: $(GOLANGCI_LINT)
	@echo "verify: Go code is formatted"
	@$(GOLANGCI_LINT) fmt --diff || { echo "verify: run make fmt" >&2; exit 1; }

.PHONY: lint
lint: $(GOLANGCI_LINT) ## lint the Go code, with the import walls of docs/architecture.md
	@echo "verify: golangci-lint"
	@$(GOLANGCI_LINT) run $(PACKAGES)
	@cd hack/image && GOWORK=off $(GOLANGCI_LINT) run
	@cd examples/library && GOWORK=off $(GOLANGCI_LINT) run

.PHONY: vet
vet:
	@echo "verify: go vet"
	@go vet $(PACKAGES)
	@cd hack/image && GOWORK=off go vet ./...
	@cd examples/library && GOWORK=off go vet ./...

# What runs workers on one machine is for macOS too. Nothing of it can be run here; its portable backend is tested on Linux (test-portable).
.PHONY: portable
portable: ## gearmanctl and gearman-worker build for macOS; the portable backend passes go vet
	@echo "verify: gearmanctl and gearman-worker build for macOS"
	@for arch in amd64 arm64; do for cmd in gearmanctl worker; do GOOS=darwin GOARCH=$$arch go build -o /dev/null ./cmd/$$cmd || exit 1; done; done
	@go vet -tags portable ./internal/workerruntime/... ./internal/localworker

.PHONY: fix-check
fix-check:
	@echo "verify: go fix has nothing to modernize"
	@go fix -diff $(PACKAGES) || { echo "verify: run go fix $(PACKAGES)" >&2; exit 1; }

.PHONY: modules
modules: ## downloads match go.sum, consumers can use go get and go install, go.mod is tidy
	@echo "verify: modules"
	@go mod verify >/dev/null
	@hack/consumer-check

.PHONY: shellcheck
shellcheck: ## lint the shell scripts
	@echo "verify: shellcheck"
	@hack/shellcheck

.PHONY: vulncheck
vulncheck: $(GOVULNCHECK) ## known vulnerabilities that the code can reach; skipped if the Go vulnerability database is out of reach
	@hack/vulncheck

.PHONY: links
links: ## check links and anchors between the Markdown files
	@echo "verify: links"
	@go run ./hack/checklinks .

# Where no tool has been built yet, these must build theirs: a prerequisite that make read as nothing shows on a new machine only.
.PHONY: tools-check
tools-check:
	@echo "verify: targets build the tools that they use"
	@for t in test demo e2e lint-chart release; do \
	  CACHE=/nonexistent $(MAKE) --no-print-directory -n $$t 2>/dev/null | grep 'hack/tools/build helm ' >/dev/null || { echo "verify: make $$t does not build helm" >&2; exit 1; }; \
	done
	@CACHE=/nonexistent $(MAKE) --no-print-directory -n generate 2>/dev/null | grep 'hack/tools/build controller-gen ' >/dev/null || { echo "verify: make generate does not build controller-gen" >&2; exit 1; }

# The chart's checks; what the chart renders is tested in test/chart.
.PHONY: lint-chart
lint-chart: $(HELM) $(KUBECONFORM) ## helm lint; what the chart renders against the schemas of Kubernetes 1.30 to 1.37
	@hack/lint-chart
