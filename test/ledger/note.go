package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// tryFor is for how long a line is tried to be written. A job that can't be written down fails, and
// then counts as lost though nothing but the ledger was: on a slow machine that starts many pods at
// once, five tries within seconds were perhaps too few.
const tryFor = 90 * time.Second

// note writes a line to the ledger at url. It tries again where no answer comes. An answer that was
// lost leads to the same line twice, which readers must bear.
func note(url, line string) error {
	client := http.Client{Timeout: 5 * time.Second}
	began := time.Now()
	for try := 1; ; try++ {
		r, err := client.Post(url, "text/plain", strings.NewReader(line))
		if err != nil {
			if time.Since(began) > tryFor {
				return err
			}
			time.Sleep(min(time.Duration(try*try)*200*time.Millisecond, 3*time.Second))
			continue
		}
		message, _ := io.ReadAll(io.LimitReader(r.Body, maxLine)) // only for the error's text
		r.Body.Close()
		if r.StatusCode == http.StatusNoContent {
			return nil
		}
		return fmt.Errorf("the ledger answers %s: %s", r.Status, strings.TrimSpace(string(message)))
	}
}
