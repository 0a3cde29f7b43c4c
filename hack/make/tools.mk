# Developer tools: each has a module of its own under hack/tools/, so that their requirements meet neither each other nor
# go.mod. A tool is built once into $(CACHE)/tools, under a name that holds the digest of its go.mod and go.sum. Other parts
# name a tool as prerequisite and run it: `foo: $(HELM)`, `$(HELM) template ...`; scripts find $HELM etc. in the environment.
TOOLS := $(CACHE)/tools

# $(call tool-path,<directory under hack/tools>,<binary>)
tool-path = $(TOOLS)/$(1)-$(shell cat $(ROOT)/hack/tools/$(1)/go.mod $(ROOT)/hack/tools/$(1)/go.sum | sha256sum | cut -c1-12)/$(2)

CONTROLLER_GEN := $(call tool-path,controller-gen,controller-gen)
GOLANGCI_LINT := $(call tool-path,golangci-lint,golangci-lint)
HELM := $(call tool-path,helm,helm)
KUBECONFORM := $(call tool-path,kubeconform,kubeconform)
CYCLONEDX := $(call tool-path,cyclonedx-gomod,cyclonedx-gomod)
GOVULNCHECK := $(call tool-path,govulncheck,govulncheck)
NFPM := $(call tool-path,nfpm,nfpm)
KREW := $(call tool-path,krew,krew)
export CONTROLLER_GEN GOLANGCI_LINT HELM KUBECONFORM CYCLONEDX GOVULNCHECK NFPM KREW

$(CONTROLLER_GEN):
	@$(ROOT)/hack/tools/build controller-gen sigs.k8s.io/controller-tools/cmd/controller-gen $@
$(GOLANGCI_LINT):
	@$(ROOT)/hack/tools/build golangci-lint github.com/golangci/golangci-lint/v2/cmd/golangci-lint $@
$(HELM):
	@$(ROOT)/hack/tools/build helm helm.sh/helm/v4/cmd/helm $@
$(KUBECONFORM):
	@$(ROOT)/hack/tools/build kubeconform github.com/yannh/kubeconform/cmd/kubeconform $@
$(CYCLONEDX):
	@$(ROOT)/hack/tools/build cyclonedx-gomod github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod $@
$(NFPM):
	@$(ROOT)/hack/tools/build nfpm github.com/goreleaser/nfpm/v2/cmd/nfpm $@
$(KREW):
	@$(ROOT)/hack/tools/build krew sigs.k8s.io/krew/cmd/krew $@
$(GOVULNCHECK):
	@$(ROOT)/hack/tools/build govulncheck golang.org/x/vuln/cmd/govulncheck $@

.PHONY: tools
tools: $(CONTROLLER_GEN) $(HELM) $(GOLANGCI_LINT) $(KUBECONFORM) $(CYCLONEDX) ## build the developer tools into the cache
	@printf '%s\n' $^

# Debian packages that tests start: two job servers, the clients and workers of other languages for the interop suite, the languages of
# the examples (with what three of them need), that of Argo CD's health checks, curl for the scripts,
# and what the job server that checks certificates consists of.
DEPS := gearman-job-server gearman-tools gearman-server libgearman-client-perl php-cli php-gearman python3 nodejs ruby lua5.1 \
	imagemagick esbuild python3-django php-symfony-console php-symfony-messenger php-symfony-framework-bundle php-laravel-framework curl haproxy openssl

.PHONY: deps
deps: ## install the Debian packages that tests need (only what is missing)
	@missing=; for p in $(DEPS); do \
	  dpkg-query -W -f '$${db:Status-Status}' "$$p" 2>/dev/null | grep -qx installed || missing="$$missing $$p"; done; \
	if [ -z "$$missing" ]; then echo "deps: all installed"; exit 0; fi; \
	echo "deps: installing$$missing"; \
	sudo=; [ "$$(id -u)" = 0 ] || sudo=sudo; \
	export DEBIAN_FRONTEND=noninteractive; \
	$$sudo apt-get update -qq && $$sudo apt-get install -y -qq --no-install-recommends $$missing

# What is generated from the types in api/ and the RBAC markers in controllers/. Nothing of it is edited by hand.
CRD := config/crd/bases/gearman.dev_gearmanworkerpools.yaml
CHART := charts/gearman-operator

.PHONY: generate
generate: generate-api generate-rbac generate-chart ## deepcopy, CRD, apply configurations, API reference, RBAC; the chart's CRD and table of values

.PHONY: generate-api
generate-api: $(CONTROLLER_GEN)
	$(CONTROLLER_GEN) object paths=./api/v1alpha1
	$(CONTROLLER_GEN) crd paths=./api/v1alpha1 output:crd:artifacts:config=$(dir $(CRD))
	rm -rf api/v1alpha1/applyconfiguration
	$(CONTROLLER_GEN) applyconfiguration paths=./api/v1alpha1
	go run ./hack/apidocs $(CRD) >docs/api.md

.PHONY: generate-rbac
generate-rbac: $(CONTROLLER_GEN)
	$(CONTROLLER_GEN) rbac:roleName=gearman-operator paths=./controllers/... output:rbac:artifacts:config=config/rbac

.PHONY: generate-chart
generate-chart: generate-api
	mkdir -p $(CHART)/files
	cp $(CRD) $(CHART)/files/
	go run ./hack/chartdocs $(CHART)
