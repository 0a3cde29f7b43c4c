# The end-to-end tests that need minutes of disturbance. All but the noise have short forms in make e2e, and the noise has one in make test.
.PHONY: e2e-long
e2e-long: e2e-ready ## the long forms of make e2e: replicas and images swing for five minutes, noise for ten
	@E2E_LONG=1 $(MAKE) --no-print-directory -s e2e-long-run E2E_TIMEOUT=40m

.PHONY: e2e-long-run
e2e-long-run:
	@$(E2E) ./test/e2e -tags 'e2e long' -parallel 3 -run 'Swing|Noise' $(E2E_FLAGS)
