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
export CONTROLLER_GEN GOLANGCI_LINT HELM KUBECONFORM CYCLONEDX GOVULNCHECK NFPM

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
$(GOVULNCHECK):
	@$(ROOT)/hack/tools/build govulncheck golang.org/x/vuln/cmd/govulncheck $@

.PHONY: tools
tools: $(CONTROLLER_GEN) $(HELM) $(GOLANGCI_LINT) $(KUBECONFORM) $(CYCLONEDX) ## build the developer tools into the cache
	@printf '%s\n' $^
