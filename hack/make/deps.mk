# Debian packages that tests start: two job servers, the clients and workers of other languages for the interop suite, the languages of
# the examples (with what three of them need), that of Argo CD's health checks, curl for the scripts,
# and what the job server that checks certificates consists of.
DEPS := gearman-job-server gearman-tools gearman-server libgearman-client-perl php-cli php-gearman python3 nodejs ruby lua5.1 \
	imagemagick esbuild python3-django php-symfony-console php-symfony-messenger php-symfony-framework-bundle php-laravel-framework curl haproxy openssl

.PHONY: deps
deps: ## install the Debian packages that tests need (only what is missing)
	@missing=; for p in $(DEPS); do \
	  dpkg-query -W -f '$${db:Status-Status}' "$$p" 2>/dev/null | grep -qx installed || missing="$$missing $$p"; done; \
	if [ -z "$$missing" ]; then echo "deps: all installed"; exit 0; fi; \
	echo "deps: installing$$missing"; \
	sudo=; [ "$$(id -u)" = 0 ] || sudo=sudo; \
	export DEBIAN_FRONTEND=noninteractive; \
	$$sudo apt-get update -qq && $$sudo apt-get install -y -qq --no-install-recommends $$missing
