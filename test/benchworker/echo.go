package main

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strconv"
)

// echoChild is a stream child that returns each workload.
func echoChild() {
	in := bufio.NewReaderSize(os.NewFile(3, "in"), 64<<10)
	out := bufio.NewWriterSize(os.NewFile(4, "out"), 64<<10)
	body := make([]byte, 64<<10)
	if _, err := in.ReadSlice('\n'); err != nil {
		return
	}
	answer := []byte(`{"type":"ready","version":1}` + "\n")
	for {
		if _, err := out.Write(answer); err != nil {
			return
		}
		if out.Flush() != nil {
			return
		}
		line, err := in.ReadSlice('\n')
		if err != nil {
			return
		}
		var h struct {
			Type  string
			ID    uint64
			Bytes int
		}
		if json.Unmarshal(line, &h) != nil || h.Bytes > len(body) {
			return
		}
		if _, err := io.ReadFull(in, body[:h.Bytes]); err != nil {
			return
		}
		kind := "complete"
		if h.Type == "ping" {
			kind = "pong"
		}
		answer = append(answer[:0], `{"type":"`+kind+`","id":`...)
		answer = strconv.AppendUint(answer, h.ID, 10)
		answer = append(answer, `,"bytes":`...)
		answer = strconv.AppendInt(answer, int64(h.Bytes), 10)
		answer = append(answer, "}\n"...)
		answer = append(answer, body[:h.Bytes]...)
	}
}

// echoService is an HTTP service that returns each workload.
func echoService(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Length", strconv.FormatInt(r.ContentLength, 10))
	_, _ = io.Copy(w, r.Body)
}
