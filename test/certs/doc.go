// Package certs makes certificates for tests: a certificate authority, and what it signs for
// servers and clients.
package certs
