// Package tlsproxy starts the job server of examples/gearmand-tls.yaml for tests: Debian's HAProxy
// with that file's configuration, in front of a gearmand.
package tlsproxy
