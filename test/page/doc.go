// Package page tests the page of internal/page in a real browser: headless Chromium, driven over
// its DevTools pipe. `make test-page` runs it, and also takes the pictures of the docs.
package page
