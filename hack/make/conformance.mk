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
