# The commands of the project. Each part keeps its own targets under hack/make/.
SHELL := /usr/bin/env bash -euo pipefail
.DEFAULT_GOAL := help

ROOT := $(CURDIR)
# What is expensive to build (a whole Kubernetes, the developer tools) is kept outside the tree and reused.
CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/gearman-operator
REPORTS := $(ROOT)/build/reports
export CACHE REPORTS

VERSION ?= 0.1.0
IMAGE ?= gearman-operator:$(VERSION)

.PHONY: help
help: ## this list
	@grep -hE '^[a-zA-Z0-9_-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  %-20s %s\n", $$1, $$2}'

include $(wildcard hack/make/*.mk)
