package gearmantest

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
)

// maxWords is how many words a line may have; gearmand closes the connection if there are more.
const maxWords = 5

// Responses to a line of text.
const (
	okLine         = "OK\r\n"
	unknownCommand = "ERR UNKNOWN_COMMAND Unknown+server+command"
	tooFewWords    = "ERR INVALID_ARGUMENTS An+incomplete+set+of+arguments+was+sent+to+this+command+"
)

// identity is the information about the process that the text commands report.
type identity struct {
	version string
	pid     int
	verbose string
}

// text processes one line of the text protocol, given with its line end, and appends the response
// to p.out. It returns false if the server closes the connection instead.
func (q *queue) text(p *peer, line []byte, me identity) bool {
	if q.rules.perl {
		q.perlText(p, line, me)
		return true
	}
	body := bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
	if i := bytes.IndexByte(body, 0); i >= 0 {
		body = body[:i]
	}
	words := split(string(body))
	if len(words) > maxWords {
		return false
	}
	q.touch(p)
	switch strings.ToLower(words[0]) {
	case "status":
		q.textStatus(p)
	case "prioritystatus":
		q.textPriorities(p)
	case "workers":
		q.textWorkers(p)
	case "show":
		q.textShow(p, words)
	case "cancel":
		q.textCancel(p, words)
	case "create":
		return q.textCreate(p, words, line)
	case "drop":
		q.textDrop(p, words)
	case "maxqueue":
		q.textMaxQueue(p, words)
	case "getpid":
		p.out = append(strconv.AppendInt(append(p.out, "OK "...), int64(me.pid), 10), '\n')
	case "verbose":
		p.out = append(p.out, "OK "+me.verbose+"\n"...)
	case "version":
		p.out = append(p.out, "OK "+me.version+"\n"...)
	default:
		p.out = append(p.out, unknownCommand+words[0]+"\r\n"...)
	}
	return true
}

// split splits a line at its runs of blanks. Blanks at the start make the command empty; blanks at
// the end make an empty last word.
func split(line string) []string {
	words := make([]string, 0, maxWords+1)
	for {
		word, rest, more := strings.Cut(line, " ")
		words = append(words, word)
		if !more {
			return words
		}
		line = strings.TrimLeft(rest, " ")
	}
}

func (q *queue) textStatus(p *peer) {
	const usual = 32 // typical size of a row in bytes
	out := slices.Grow(p.out, usual*len(q.functions))
	for _, f := range q.functions {
		out = append(out, f.shown()...)
		for _, n := range [...]int{f.total, f.running, f.workers} {
			out = strconv.AppendInt(append(out, '\t'), int64(n), 10)
		}
		out = append(out, '\n')
	}
	p.out = append(out, ".\n"...)
}

// shown returns the name as C prints it.
func (f *function) shown() string {
	if i := strings.IndexByte(f.name, 0); i >= 0 {
		return f.name[:i]
	}
	return f.name
}

func (q *queue) textPriorities(p *peer) {
	out := p.out
	for _, f := range q.functions {
		out = append(out, f.shown()...)
		for _, n := range [...]int{f.lines[high].n, f.lines[normal].n, f.lines[low].n, f.workers} {
			out = strconv.AppendInt(append(out, '\t'), int64(n), 10)
		}
		out = append(out, '\n')
	}
	p.out = append(out, ".\n"...)
}

func (q *queue) textWorkers(p *peer) {
	out := p.out
	for n := q.peers.front; n != nil; n = n.next {
		c := n.v
		out = strconv.AppendInt(out, int64(c.fd), 10)
		out = append(out, ' ')
		out = append(out, c.ip...)
		out = append(out, ' ')
		out = append(out, c.id...)
		out = append(out, " :"...)
		for r := c.regs.front; r != nil; r = r.next {
			out = append(append(out, ' '), r.v.fn.shown()...)
		}
		out = append(out, '\n')
	}
	p.out = append(out, ".\n"...)
}

func (q *queue) textShow(p *peer, words []string) {
	out := p.out
	switch {
	case len(words) == 1:
		p.out = append(out, unknownCommand+words[0]+"\r\n"...)
		return
	case len(words) == 2 && strings.EqualFold(words[1], "jobs"):
		for n := q.jobs.front; n != nil; n = n.next {
			j := n.v
			out = append(out, j.handle...)
			out = strconv.AppendInt(append(out, '\t'), int64(j.retries), 10)
			out = append(append(out, '\t'), flag(j.abandoned)...)
			out = append(append(out, '\t'), flag(j.queuedOn)...)
			out = append(out, '\n')
		}
	case len(words) == 3 && strings.EqualFold(words[1], "unique") && strings.EqualFold(words[2], "jobs"):
		for n := q.jobs.front; n != nil; n = n.next {
			if q.rules.handles {
				out = append(append(out, n.v.handle...), '\t')
			}
			out = append(append(out, n.v.unique...), '\n')
		}
	default:
		p.out = append(out, "ERR UNKNOWN_SHOW_ARGUMENTS\r\n"...)
		return
	}
	p.out = append(out, ".\n"...)
}

func (q *queue) textCancel(p *peer, words []string) {
	answer := "ERR UNKNOWN_ERROR\r\n"
	switch {
	case len(words) < 3:
		answer = unknownCommand + words[0] + "\r\n"
	case len(words) == 3 && strings.EqualFold(words[1], "job"):
		answer = "ERR UNKNOWN_JOB\r\n"
		if q.cancel(words[2]) {
			answer = okLine
		}
	}
	p.out = append(p.out, answer...)
}

func (q *queue) textCreate(p *peer, words []string, line []byte) bool {
	if len(words) != 3 || !strings.EqualFold(words[1], "function") {
		p.out = append(p.out, tooFewWords+words[0]+"\r\n"...)
		return true
	}
	// gearmand counts the name with its line end, and subtracts two bytes: a bare newline cuts off
	// the last byte of the name.
	name := words[2]
	if !bytes.HasSuffix(line, []byte("\r\n")) {
		if name == "" {
			return false // gearmand itself exits here: it requests a name of -1 bytes
		}
		name = name[:len(name)-1]
	}
	q.function([]byte(name))
	p.out = append(p.out, okLine...)
	return true
}

func (q *queue) textDrop(p *peer, words []string) {
	if len(words) != 3 || !strings.EqualFold(words[1], "function") {
		p.out = append(p.out, tooFewWords+words[0]+"\r\n"...)
		return
	}
	for _, f := range slices.Clone(q.functions) {
		if !strings.EqualFold(f.shown(), words[2]) {
			continue
		}
		if f.workers > 0 || f.running > 0 {
			p.out = append(p.out, "ERR there are still connected workers or executing clients\r\n"...)
			return
		}
		q.drop(f)
		p.out = append(p.out, okLine...)
		return
	}
	p.out = append(p.out, "ERR function not found\r\n"...)
}

func (q *queue) textMaxQueue(p *peer, words []string) {
	if len(words) == 1 {
		p.out = append(p.out, tooFewWords+words[0]+"\r\n"...)
		return
	}
	var limit [priorities]int
	for i := range limit {
		if i+2 < len(words) {
			limit[i] = max(int(int32(atoi([]byte(words[i+2])))), 0)
		}
	}
	if len(words) <= 3 {
		limit[normal], limit[low] = limit[high], limit[high]
	}
	if f := q.byName[words[1]]; f != nil {
		f.limit = limit
	}
	p.out = append(p.out, okLine...)
}
