package httpmode

import (
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/gearman-operator/gearman-operator/internal/workerruntime/logs"
	"github.com/gearman-operator/gearman-operator/internal/workerruntime/spool"
)

// Options are where and how jobs are posted.
type Options struct {
	// URL is http://, https:// or unix:///path/to/socket[:/path].
	URL string
	// Headers are sent with each request, as "Name: value".
	Headers []string
	// Size is how many connections are kept: as many as there may be running jobs.
	Size int
	// Result bounds a result, and sets where a large one is kept.
	Result spool.Limits

	Log      *slog.Logger
	LogLimit *logs.Limit

	// Backoff is the wait before a request is tried again. It doubles each time, up to MaxBackoff
	// (defaults 100 ms and 5 s).
	Backoff, MaxBackoff time.Duration
	// HoldBusy is how long a job is held while the service reports that it is busy (default 30 s).
	HoldBusy time.Duration
	// IdleTime is how long an unused connection is kept (default 60 s).
	IdleTime time.Duration
}

// target is where the requests go.
type target struct {
	network, address string
	tls              *tls.Config // nil: none
	head             string      // of each request, up to the headers that depend on the job
}

func parseTarget(raw string, headers []string) (*target, error) {
	bad := func(why string) error {
		return fmt.Errorf(
			"http: %q %s; write http://host:port/path, https://host/path or unix:///path/to/socket:/path", raw, why,
		)
	}
	u, err := url.Parse(raw)
	if err != nil {
		return nil, bad("is not a URL")
	}
	t := &target{network: "tcp"}
	host, path := u.Host, u.RequestURI()
	switch u.Scheme {
	case "http":
		t.address = withPort(u, "80")
	case "https":
		t.address = withPort(u, "443")
		t.tls = &tls.Config{ServerName: u.Hostname(), MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}
	case "unix":
		socket, request, ok := strings.Cut(u.Path, ":")
		if !ok {
			request = "/"
		}
		if u.Host != "" || socket == "" || !strings.HasPrefix(request, "/") {
			return nil, bad("names no socket")
		}
		if u.RawQuery != "" {
			request += "?" + u.RawQuery
		}
		t.network, t.address, host = "unix", socket, "localhost"
		path = (&url.URL{Path: strings.SplitN(request, "?", 2)[0], RawQuery: u.RawQuery}).RequestURI()
	default:
		return nil, bad("has no scheme that is known here")
	}
	if t.network == "tcp" && u.Hostname() == "" {
		return nil, bad("names no host")
	}
	t.head, err = head(path, host, u.User, headers)
	return t, err
}

// head returns a request's head up to the headers that depend on the job. The user's headers
// replace those that have a default.
func head(path, host string, user *url.Userinfo, headers []string) (string, error) {
	defaults := map[string]string{
		"Host": host, "User-Agent": "gearman-worker", "Content-Type": "application/octet-stream",
	}
	if user != nil {
		password, _ := user.Password()
		defaults["Authorization"] = "Basic " + base64.StdEncoding.EncodeToString([]byte(user.Username()+":"+password))
	}
	var given strings.Builder
	for _, h := range headers {
		name, value, ok := strings.Cut(h, ":")
		value = strings.TrimSpace(value)
		if !ok || !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) {
			return "", fmt.Errorf("http: %q is not a header such as \"Authorization: Bearer x\"", h)
		}
		switch canonical := http.CanonicalHeaderKey(name); canonical {
		case "Content-Length", "Transfer-Encoding":
			return "", fmt.Errorf("http: header %s depends on the job; leave it out", name)
		default:
			delete(defaults, canonical)
		}
		fmt.Fprintf(&given, "%s: %s\r\n", name, value)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "POST %s HTTP/1.1\r\n", path)
	for _, name := range slices.Sorted(maps.Keys(defaults)) {
		fmt.Fprintf(&b, "%s: %s\r\n", name, defaults[name])
	}
	b.WriteString(given.String())
	return b.String(), nil
}

func withPort(u *url.URL, port string) string {
	if p := u.Port(); p != "" {
		port = p
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// appendValue appends a header's value: the percent sign and bytes that a header can't carry are
// percent-encoded.
func appendValue(dst []byte, s string) []byte {
	const hex = "0123456789ABCDEF"
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '%' {
			dst = append(dst, '%', hex[c>>4], hex[c&15])
		} else {
			dst = append(dst, c)
		}
	}
	return dst
}
