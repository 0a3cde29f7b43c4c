# The page of internal/page in a real browser. Needs chromium (Debian's) and npm, for axe.
AXE_VERSION := 4.10.3
AXE := $(CACHE)/axe-core-$(AXE_VERSION)/package/axe.min.js

.PHONY: page-deps
page-deps: $(AXE)
	@command -v chromium >/dev/null || { sudo=; [ "$$(id -u)" = 0 ] || sudo=sudo; \
	  echo "page-deps: installing chromium (about 300 MB)"; \
	  $$sudo apt-get update -qq && DEBIAN_FRONTEND=noninteractive $$sudo apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core; }

$(AXE):
	@mkdir -p $(CACHE)/axe-core-$(AXE_VERSION) && cd $(CACHE)/axe-core-$(AXE_VERSION) && \
	npm pack --silent axe-core@$(AXE_VERSION) >/dev/null && tar xzf axe-core-$(AXE_VERSION).tgz

.PHONY: test-page
test-page: page-deps ## the page in headless Chromium: live, safe with hostile names, accessible
	AXE=$(AXE) go test -tags page -count 1 -v ./test/page

.PHONY: page-shots
page-shots: page-deps ## the pictures of the page in docs/
	AXE=$(AXE) SHOTS=$(ROOT)/docs/img go test -tags page -count 1 -run TestShots ./test/page
