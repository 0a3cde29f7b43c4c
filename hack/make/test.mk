# Tests of the Go code: units, a real API server (envtest), real job servers. The cluster's own tests are in `make e2e`.
TEST_FLAGS ?= -race
TEST_TIMEOUT ?= 8m

.PHONY: deps envtest-assets
.PHONY: test
test: deps envtest-assets $(HELM) ## all Go tests, with the race detector, a real API server and real job servers
	@begin=$$SECONDS; \
	KUBEBUILDER_ASSETS="$(KUBEBUILDER_ASSETS)" CGO_ENABLED=1 GEARMAN_TEST_ALL_LANGUAGES=1 go test $(TEST_FLAGS) -timeout $(TEST_TIMEOUT) ./...; \
	(cd hack/image && go test ./...); \
	echo "test: passed in $$((SECONDS - begin)) s"
