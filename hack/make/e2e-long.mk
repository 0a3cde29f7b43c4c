# The end-to-end tests that need minutes of disturbance: make e2e has short forms of them.
.PHONY: e2e-long
e2e-long: ## the long forms of make e2e: replicas and images swing for five minutes, noise for ten
	@E2E_LONG=1 $(MAKE) --no-print-directory e2e E2E_TIMEOUT=40m E2E_FLAGS="-run 'Swing|Noise' $(E2E_FLAGS)"
