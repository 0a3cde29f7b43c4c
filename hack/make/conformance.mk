.PHONY: test-conformance
test-conformance: ## job servers x features: gearmantest, gearmand, Perl's Gearman::Server (report in build/reports)
	@mkdir -p $(REPORTS)
	@rm -f $(REPORTS)/conformance.md
	@status=0; CONFORMANCE_NEED_ALL=1 go test ./test/conformance -run '^TestConformance$$' -count=1 -parallel 8 >$(REPORTS)/conformance.log 2>&1 || status=$$?; \
	if [ -f $(REPORTS)/conformance.md ]; then cat $(REPORTS)/conformance.md; fi; \
	if [ $$status -ne 0 ]; then grep -v '^ok' $(REPORTS)/conformance.log >&2; fi; \
	exit $$status
