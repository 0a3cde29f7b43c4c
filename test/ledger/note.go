package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// tryFor is how long to try to write a line. A job that can't be recorded fails, and then counts as
// lost though only the ledger was unreachable. On a slow machine that starts many pods at once,
// five tries within seconds were perhaps too few.
const tryFor = 90 * time.Second

// note writes a line to the ledger at url. It tries again if no answer comes. If only the answer
// was lost, the line is written twice, which readers must handle.
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
