# Tests of the Go code: units, a real API server (envtest), real job servers. The cluster's own tests are in `make e2e`.

# The packages of all modules in go.work: "./..." alone stops at a module of its own.
PACKAGES := ./... ./gearman/...

# The oldest Go that the library builds with, from the Go module proxy; a release after the last needs no change here.
LIBRARY_GO ?= go1.25.14
TEST_FLAGS ?= -race
TEST_TIMEOUT ?= 12m

# Each of these starts an API server, an operator or a world of its own: one after the other, with the machine to itself.
ALONE := test/apiserver test/bench/scale test/bench/hostile test/world test/world/mutants

.PHONY: deps envtest-assets
.PHONY: test
test: test-notice deps envtest-assets $(HELM) $(NFPM) ## all Go tests, with the race detector, a real API server and real job servers
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
