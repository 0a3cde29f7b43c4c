// Package page tests the page of internal/page in a real browser: headless Chromium, driven over
// its DevTools pipe. Run by `make test-page`, which also takes the pictures of the docs.
package page
