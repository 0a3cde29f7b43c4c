package proto

import (
	"bytes"
	"fmt"
	"strings"
)

// EndOfRows is the line that ends a response of several rows.
const EndOfRows = "."

// StatusRow is a row of the response to "status". Names may contain tabs and blanks, so rows are
// parsed from the right.
type StatusRow struct {
	Function []byte
	Total    uint64 // queued, running, delayed, and canceled jobs that no worker has come across yet
	Running  int64  // gearmand has been seen to report -1
	Workers  uint64 // registrations, not workers: CAN_DO twice on a connection counts twice
}

// ParseStatusRow parses a row of "status" without its newline.
func ParseStatusRow(line []byte) (StatusRow, error) {
	name, valid := line, true
	row := StatusRow{Workers: number(cutRight(&name, &valid), &valid)}
	running, ok := parseInt(cutRight(&name, &valid))
	row.Running, row.Total = running, number(cutRight(&name, &valid), &valid)
	if !valid || !ok {
		return StatusRow{}, errRow("status", line)
	}
	row.Function = name
	return row, nil
}

// PriorityRow is a row of the response to "prioritystatus": queued jobs by priority.
type PriorityRow struct {
	Function                   []byte
	High, Normal, Low, Workers uint64
}

// ParsePriorityRow parses a row of "prioritystatus" without its newline.
func ParsePriorityRow(line []byte) (PriorityRow, error) {
	name, valid := line, true
	row := PriorityRow{Workers: number(cutRight(&name, &valid), &valid)}
	row.Low = number(cutRight(&name, &valid), &valid)
	row.Normal = number(cutRight(&name, &valid), &valid)
	row.High = number(cutRight(&name, &valid), &valid)
	if !valid {
		return PriorityRow{}, errRow("prioritystatus", line)
	}
	row.Function = name
	return row, nil
}

// JobRow is a row of the response to "show jobs".
type JobRow struct {
	Handle    []byte
	Retries   uint64
	Ignored   bool // canceled, or its foreground client left
	Persisted bool // a background job
}

// ParseJobRow parses a row of "show jobs" without its newline.
func ParseJobRow(line []byte) (JobRow, error) {
	handle, valid := line, true
	row := JobRow{Persisted: boolean(cutRight(&handle, &valid), &valid)}
	row.Ignored = boolean(cutRight(&handle, &valid), &valid)
	row.Retries = number(cutRight(&handle, &valid), &valid)
	row.Handle = handle
	if !valid || len(handle) == 0 {
		return JobRow{}, errRow("show jobs", line)
	}
	return row, nil
}

// UniqueRow is a row of the response to "show unique jobs".
type UniqueRow struct {
	Handle []byte // nil if the job server doesn't report it
	Unique []byte // may be empty, and contain tabs
}

// ParseUniqueRow parses a row of "show unique jobs" without its newline. Before gearmand 2.2.0 the
// row is only the key; since then the job's handle and a tab come first. v decides which format it
// is ([Version.UniqueWithHandle]): the row doesn't show it, since a key can look like the other
// format.
func ParseUniqueRow(line []byte, v Version) (UniqueRow, error) {
	if !v.UniqueWithHandle() {
		return UniqueRow{Unique: line}, nil
	}
	handle, unique, ok := bytes.Cut(line, tab)
	if !ok || len(handle) == 0 {
		return UniqueRow{}, errRow("show unique jobs", line)
	}
	return UniqueRow{Handle: handle, Unique: unique}, nil
}

// WorkerRow is a row of the response to "workers": a connection of any kind.
type WorkerRow struct {
	FD   int64 // the connection's file descriptor in the job server; -1 while gearmand closes it
	IP   []byte
	ID   []byte // "-" if none was set
	list []byte // the functions, separated by blanks
}

// ParseWorkerRow parses a row of "workers" without its newline. The id ends at the first " :", so
// an id without blanks is always parsed correctly, whatever the names of the functions.
func ParseWorkerRow(line []byte) (WorkerRow, error) {
	fd, rest, ok := bytes.Cut(line, space)
	n, numeric := parseInt(fd)
	if !ok || !numeric {
		return WorkerRow{}, errRow("workers", line)
	}
	ip, rest, ok := bytes.Cut(rest, space)
	if !ok || len(ip) == 0 {
		return WorkerRow{}, errRow("workers", line)
	}
	row := WorkerRow{FD: n, IP: ip}
	for from := 0; ; {
		i := bytes.Index(rest[from:], idEnd)
		if i < 0 {
			return WorkerRow{}, errRow("workers", line)
		}
		end := from + i
		if after := rest[end+2:]; len(after) == 0 || after[0] == ' ' {
			row.ID = rest[:end:end]
			row.list = bytes.Trim(after, " ")
			return row, nil
		}
		from = end + 2
	}
}

var (
	space = []byte{' '}
	tab   = []byte{'\t'}
	idEnd = []byte(" :")
)

// Functions calls yield for each registered function, in the job server's order, more than once if
// it was registered more than once. A name with a blank in it is listed as several.
func (w WorkerRow) Functions(yield func(function []byte) bool) {
	for rest := w.list; len(rest) > 0; {
		name, tail, _ := bytes.Cut(rest, space)
		if !yield(name) {
			return
		}
		rest = tail
	}
}

// List returns the row's list of functions as the job server sent it.
func (w WorkerRow) List() []byte { return w.list }

// cutRight removes the last tab-separated field from line and returns it. If one is missing, ok
// becomes false for good.
func cutRight(line *[]byte, ok *bool) []byte {
	i := bytes.LastIndexByte(*line, '\t')
	if i < 0 {
		*ok = false
		return nil
	}
	field := (*line)[i+1:]
	*line = (*line)[:i]
	return field
}

func errRow(command string, line []byte) error {
	const show = 120
	if len(line) > show {
		return fmt.Errorf("%s row %q...: %w", command, line[:show], ErrRow)
	}
	return fmt.Errorf("%s row %q: %w", command, line, ErrRow)
}

// Reply is a one-line response to a text command: "OK", "OK value" or "ERR code text".
type Reply struct {
	OK    bool
	Value string // after OK
	Err   *ServerError
}

// ParseReply parses a one-line response without its line end. ok is false if it is neither OK nor
// ERR, for example for the response of Perl's server to "version".
func ParseReply(line []byte) (r Reply, ok bool) {
	word, rest, _ := bytes.Cut(line, space)
	switch string(word) {
	case "OK":
		return Reply{OK: true, Value: string(rest)}, true
	case "ERR":
		code, text, _ := bytes.Cut(rest, space)
		return Reply{
			Err: &ServerError{Code: string(code), Text: string(bytes.ReplaceAll(text, []byte{'+'}, space))},
		}, true
	}
	return Reply{}, false
}

// maxWords is how many words gearmand accepts in a line of text.
const maxWords = 5

// CheckCommand returns an error if a text command can't be sent. gearmand closes the connection on
// lines of MaxTextLine bytes or more and on more than five words, and a line end would start
// another command. line is the command without its line end.
func CheckCommand(line string) error {
	if len(line) > MaxTextLine-2 {
		return fmt.Errorf(
			"%w: the command has %d bytes, job servers take at most %d", ErrName, len(line), MaxTextLine-2,
		)
	}
	if i := strings.IndexAny(line, "\r\n\x00"); i >= 0 {
		return fmt.Errorf("%w: the command holds a line end or NUL at offset %d", ErrName, i)
	}
	if n := strings.Count(line, " ") + 1; n > maxWords {
		return fmt.Errorf("%w: the command has %d words, job servers take at most %d", ErrName, n, maxWords)
	}
	return nil
}
