# What must hold before a change is merged, without running the tests. Each part can be run by itself.
.PHONY: verify
verify: tools-check verify-generated verify-format lint vet portable fix-check modules shellcheck lint-chart links ## generated code, format, lint, macOS builds, modern Go, modules, chart, shell scripts, links
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
modules: ## what is downloaded is what go.sum says; what a consumer gets by go get and go install; go.mod is tidy
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
