# The Gearman library.

FUZZTIME ?= 10s

.PHONY: fuzz
fuzz: ## fuzz all decoders of the Gearman library, FUZZTIME (10s) each
	FUZZTIME=$(FUZZTIME) nice -n 15 hack/gearman/fuzz.sh
