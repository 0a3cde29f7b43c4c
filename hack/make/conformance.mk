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
test-interop: ## our clients and workers with libgearman's CLI, php-gearman and Perl's Gearman::Client (report in build/reports)
	@mkdir -p $(REPORTS)
	@status=0; go test ./test/interop -count=1 -v >$(REPORTS)/interop.log 2>&1 || status=$$?; \
	if [ $$status -ne 0 ]; then cat $(REPORTS)/interop.log >&2; else grep -E '^ *--- |not in ' $(REPORTS)/interop.log; fi; \
	exit $$status

.PHONY: test-differential
test-differential: ## the same random requests to gearmantest and gearmand, for CONFORMANCE_SECONDS (60)
	CONFORMANCE_SECONDS=$${CONFORMANCE_SECONDS:-60} go test ./test/conformance -run '^TestDifferential$$' -count=1 -v
