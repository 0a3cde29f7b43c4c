//go:build page

package page

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// browser is one tab of a headless Chromium.
type browser struct {
	t       *testing.T
	in      io.Writer
	session string

	mu       sync.Mutex
	id       int
	waiting  map[int]chan answer
	troubles []string // exceptions and errors of the console, including what the content security policy refused
}

type answer struct {
	Result json.RawMessage `json:"result"`
	Error  *struct {
		Message string `json:"message"`
	} `json:"error"`
}

func newBrowser(t *testing.T) *browser {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("chromium is not installed: apt-get install chromium")
	}
	fromUs, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	out, toUs, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	args := []string{
		"--headless", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-pipe",
		"--user-data-dir=" + t.TempDir(), "--no-first-run",
	}
	if os.Geteuid() == 0 {
		args = append(args, "--no-sandbox") // its sandbox does not work as root
	}
	cmd := exec.Command(path, args...)
	cmd.ExtraFiles = []*os.File{fromUs, toUs}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_, _ = fromUs.Close(), toUs.Close()
	b := &browser{t: t, in: in, waiting: map[int]chan answer{}}
	var wg sync.WaitGroup
	wg.Go(func() { b.read(out) })
	t.Cleanup(func() {
		_, _ = b.try("Browser.close", nil)
		_ = in.Close()
		_ = cmd.Wait()
		_ = out.Close()
		wg.Wait()
	})
	var target struct{ TargetID string }
	b.call("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct{ SessionID string }
	b.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	b.session = attached.SessionID
	for _, domain := range []string{"Page.enable", "Runtime.enable", "Log.enable"} {
		b.call(domain, nil, nil)
	}
	return b
}

// read reads the browser's messages until it ends.
func (b *browser) read(out io.Reader) {
	for r := bufio.NewReader(out); ; {
		raw, err := r.ReadBytes(0)
		if err != nil {
			return
		}
		var message struct {
			ID     int
			Method string
			Params json.RawMessage
			answer
		}
		if json.Unmarshal(raw[:len(raw)-1], &message) != nil {
			continue
		}
		b.mu.Lock()
		if ch := b.waiting[message.ID]; ch != nil {
			delete(b.waiting, message.ID)
			ch <- message.answer
		}
		switch text := string(message.Params); {
		case message.Method == "Runtime.exceptionThrown", message.Method == "Log.entryAdded" && strings.Contains(text, `"level":"error"`):
			b.troubles = append(b.troubles, text)
		}
		b.mu.Unlock()
	}
}

func (b *browser) try(method string, params any) (json.RawMessage, error) {
	b.mu.Lock()
	b.id++
	id, ch := b.id, make(chan answer, 1)
	b.waiting[id] = ch
	b.mu.Unlock()
	message := map[string]any{"id": id, "method": method}
	if params != nil {
		message["params"] = params
	}
	if b.session != "" {
		message["sessionId"] = b.session
	}
	raw, err := json.Marshal(message)
	if err != nil {
		return nil, err
	}
	if _, err := b.in.Write(append(raw, 0)); err != nil {
		return nil, err
	}
	select {
	case a := <-ch:
		if a.Error != nil {
			return nil, fmt.Errorf("%s: %s", method, a.Error.Message)
		}
		return a.Result, nil
	case <-time.After(30 * time.Second):
		return nil, fmt.Errorf("%s: no answer", method)
	}
}

func (b *browser) call(method string, params, result any) {
	b.t.Helper()
	raw, err := b.try(method, params)
	if err == nil && result != nil {
		err = json.Unmarshal(raw, result)
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

// eval returns a script's value as JSON.
func (b *browser) eval(script string) string {
	b.t.Helper()
	var out struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails json.RawMessage
	}
	b.call("Runtime.evaluate", map[string]any{"expression": script, "returnByValue": true, "awaitPromise": true}, &out)
	if out.ExceptionDetails != nil {
		b.t.Fatalf("%s: %s", script, out.ExceptionDetails)
	}
	return string(out.Result.Value)
}

// await waits until a script evaluates to true.
func (b *browser) await(what, script string) {
	b.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for b.eval(script) != "true" {
		if time.Now().After(deadline) {
			b.t.Fatalf(
				"not within 20 s: %s; the page reads %s; troubles: %s", what, b.eval("document.body.innerText"),
				b.troubles,
			)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (b *browser) open(url string) {
	b.t.Helper()
	b.call("Page.navigate", map[string]any{"url": url}, nil)
	b.await("loaded", `document.readyState === "complete" && location.href === `+quote(url))
}

func (b *browser) look(width int, dark bool) {
	b.t.Helper()
	b.call(
		"Emulation.setDeviceMetricsOverride",
		map[string]any{"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false}, nil,
	)
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	b.call(
		"Emulation.setEmulatedMedia",
		map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}}}, nil,
	)
}

// shot saves a picture of the whole page.
func (b *browser) shot(path string) {
	b.t.Helper()
	var out struct{ Data string }
	b.call("Page.captureScreenshot", map[string]any{"format": "png", "captureBeyondViewport": true}, &out)
	data, err := base64.StdEncoding.DecodeString(out.Data)
	if err == nil {
		err = os.WriteFile(path, data, 0o644)
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

func quote(s string) string {
	raw, _ := json.Marshal(s) // a string can always be encoded
	return string(raw)
}
