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

// Probe asks an operator for its metrics at url until they come or ctx ends. By HTTPS it is enough
// that the operator wants to know who asks. It is what `helm test` runs: the image holds no other
// program that could.
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
	// Whether somebody answers is the question, not who: nothing is sent, and the answer is not
	// used.
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
