# One of examples/ on the real cluster, by one command.
NAME ?=

# What the example needs is asked first, so that a wrong NAME fails at once.
.PHONY: example example-name
example-name:
	@hack/example "$(NAME)" --public >/dev/null

example: example-name cluster-ready example-images plugin ## run an example on the real cluster: NAME=php, typescript, team, cronjob, ... (without NAME: a list)
	@if [ "$$($(CLUSTER_DIR)/target.sh name)" = local ]; then \
	  archives=$$($(ROOT)/test/images/public.sh $(ROOT)/build/image $$(hack/example "$(NAME)" --public)); \
	  [ -z "$$archives" ] || $(CLUSTER_DIR)/load-image.sh $$archives; \
	fi
	@case "$(NAME)" in symfony | laravel) $(ROOT)/test/images/examples.sh $(ROOT)/build/image "$(NAME)";; esac
	@archive=$(ROOT)/build/image/$(NAME)-worker.tar; [ ! -f "$$archive" ] || $(CLUSTER_DIR)/load-image.sh "$$archive"
	@eval "$$($(MAKE) --no-print-directory -s cluster-env)"; hack/example "$(NAME)"
