package operator

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// Probe requests an operator's metrics from url until they arrive or ctx ends. Over HTTPS an answer
// that requires authentication is enough. `helm test` runs it: the image has no other program for
// this.
func Probe(ctx context.Context, url string, out io.Writer) error {
	for {
		err := probeOnce(ctx, url)
		if err == nil {
			_, err = fmt.Fprintln(out, "the operator answers at", url)
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("probe: %w", ctx.Err()), err)
		case <-time.After(time.Second):
		}
	}
}

func probeOnce(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	// Only whether there is an answer matters, not from whom: nothing is sent, and the answer is
	// not used.
	client := http.Client{
		Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}, //nolint:gosec // see above
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 16<<20))
	switch {
	case err != nil:
		return err
	case response.StatusCode == http.StatusUnauthorized && request.URL.Scheme == "https":
		return nil
	case response.StatusCode != http.StatusOK:
		return fmt.Errorf("%s answers %s", url, response.Status)
	case !strings.Contains(string(body), "\ncontroller_runtime_"):
		return fmt.Errorf("%s answers, but not with the operator's metrics", url)
	}
	return nil
}
