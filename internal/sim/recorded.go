package sim

import (
	"bufio"
	"bytes"
	"compress/gzip"
	_ "embed" // for the recorded arrivals
	"fmt"
	"io"
	"sync"
)

//go:embed testdata/recorded/azure-conversation-2023.csv.gz
var conversation []byte

// secondsPerToken is the time that the service is assumed to need for one token.
const secondsPerToken = 0.03

// recorded are the jobs of one hour of a real service. They are read once; callers copy them.
var recorded = sync.OnceValue(func() []Job {
	jobs, err := readRecorded(bytes.NewReader(conversation))
	if err != nil {
		panic(fmt.Sprintf("sim: the recorded arrivals: %v", err)) // they are built into the program
	}
	return jobs
})

// readRecorded reads lines with the milliseconds since the previous request and the tokens
// generated.
func readRecorded(r io.Reader) ([]Job, error) {
	z, err := gzip.NewReader(r)
	if err != nil {
		return nil, err
	}
	defer z.Close()
	var jobs []Job
	at := 0
	for lines := bufio.NewScanner(z); ; {
		if !lines.Scan() {
			return jobs, lines.Err()
		}
		var gap, tokens int
		if _, err := fmt.Sscanf(lines.Text(), "%d,%d", &gap, &tokens); err != nil {
			return nil, fmt.Errorf("line %d: want milliseconds,tokens: %w", len(jobs)+1, err)
		}
		at += gap
		jobs = append(jobs, Job{At: float64(at) / 1000, Seconds: float32(max(float64(tokens)*secondsPerToken, 0.001))})
	}
}
