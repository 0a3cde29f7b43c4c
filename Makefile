# The commands of the project. Each part keeps its own targets under hack/make/.
SHELL := /usr/bin/env bash -euo pipefail
.DEFAULT_GOAL := help

ROOT := $(CURDIR)
# What is expensive to build (a whole Kubernetes, the developer tools) is kept outside the tree and reused.
CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/gearman-operator
REPORTS := $(ROOT)/build/reports
export CACHE REPORTS

# One way of building for all but the race detector (hack/make/test.mk): each other one would compile Kubernetes' libraries again.
export GOFLAGS := -trimpath $(filter-out -trimpath,$(GOFLAGS))
export CGO_ENABLED := 0

VERSION ?= 0.1.0
IMAGE ?= gearman-operator:$(VERSION)

.PHONY: help
help: ## this list
	@awk -f hack/make/help.awk $(MAKEFILE_LIST)

# In this order: make expands a prerequisite where it reads it, and a variable that is set later is nothing there.
include $(patsubst %,hack/make/%.mk,tools cluster release start test bench)
