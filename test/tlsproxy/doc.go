// Package tlsproxy starts the job server of examples/gearmand-tls.yaml for tests: Debian's HAProxy
// with the configuration of that file, before a gearmand.
package tlsproxy
