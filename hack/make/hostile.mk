# The operator among hostile tenants.
.PHONY: bench-hostile
bench-hostile: deps envtest-assets ## the operator with 12 hostile job servers, 64 hostile pools and one victim: memory, wake times, scrapes (takes 7 min)
	@mkdir -p $(REPORTS)
	@status=0; KUBEBUILDER_ASSETS="$(KUBEBUILDER_ASSETS)" BENCH_HOSTILE=1 BENCH_HOSTILE_REPORT=$(REPORTS)/bench-hostile.md \
		go test ./test/bench/hostile -run '^TestHostile$$' -count=1 -timeout 30m -v >$(REPORTS)/bench-hostile.log 2>&1 || status=$$?; \
	if [ $$status -ne 0 ]; then cat $(REPORTS)/bench-hostile.log >&2; fi; \
	if [ -f $(REPORTS)/bench-hostile.md ]; then cat $(REPORTS)/bench-hostile.md; fi; \
	grep '^RESULT' $(REPORTS)/bench-hostile.log; \
	exit $$status
