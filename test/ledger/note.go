package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// note writes a line to the ledger at url. It tries again for a while where no answer comes: the job fails that can't write itself down.
// An answer that was lost leads to the same line twice, which readers must bear.
func note(url, line string) error {
	client := http.Client{Timeout: 5 * time.Second}
	var err error
	for try := range 5 {
		time.Sleep(time.Duration(try*try) * 200 * time.Millisecond)
		var r *http.Response
		if r, err = client.Post(url, "text/plain", strings.NewReader(line)); err != nil {
			continue
		}
		message, _ := io.ReadAll(io.LimitReader(r.Body, maxLine)) // only for the error's text
		r.Body.Close()
		if r.StatusCode == http.StatusNoContent {
			return nil
		}
		return fmt.Errorf("the ledger answers %s: %s", r.Status, strings.TrimSpace(string(message)))
	}
	return err
}
