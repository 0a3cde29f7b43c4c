# The poller of job servers.
.PHONY: bench-poll
bench-poll: ## what polling costs gearmand and the operator: 5,000 workers, 10,000 functions, submit to news (takes 5 min)
	@mkdir -p $(REPORTS)
	@BENCH_POLL_REPORT=$(REPORTS)/bench-poll.md go test -count=1 -timeout 10m -run '^TestPollCost$$' -v ./internal/backlog | grep -E '^(RESULT|---|FAIL|ok|panic)|pollcost_test' | grep -v '^=== ' | tee $(REPORTS)/bench-poll.log
	@grep -q '^RESULT' $(REPORTS)/bench-poll.log
