# The operator with thousands of pools.
POOLS ?= 10000

.PHONY: bench-scale
bench-scale: deps envtest-assets ## the operator as a process with POOLS (10000) pools: at rest, under load, cold start, deletion (1000: 8 min)
	@mkdir -p $(REPORTS)
	@status=0; KUBEBUILDER_ASSETS="$(KUBEBUILDER_ASSETS)" BENCH_SCALE_POOLS=$(POOLS) BENCH_SCALE_REPORT=$(REPORTS)/bench-scale-$(POOLS).md \
		go test ./test/bench/scale -run '^TestScale$$' -count=1 -timeout 60m -v >$(REPORTS)/bench-scale-$(POOLS).log 2>&1 || status=$$?; \
	if [ $$status -ne 0 ]; then cat $(REPORTS)/bench-scale-$(POOLS).log >&2; fi; \
	if [ -f $(REPORTS)/bench-scale-$(POOLS).md ]; then cat $(REPORTS)/bench-scale-$(POOLS).md; fi; \
	grep '^RESULT' $(REPORTS)/bench-scale-$(POOLS).log; \
	exit $$status
