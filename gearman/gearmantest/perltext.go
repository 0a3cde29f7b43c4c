package gearmantest

import (
	"slices"
	"strconv"
	"strings"
)

// perlText processes a line of its text protocol.
func (q *queue) perlText(p *peer, line []byte, me identity) {
	word, rest := cutWord(strings.TrimRight(string(line), "\r\n"))
	q.touch(p)
	switch strings.ToLower(word) {
	case "status":
		q.perlTextStatus(p)
	case "workers":
		for n := q.peers.back; n != nil; n = n.prev { // in order of file descriptors, which is the order of age
			var names []string
			for r := n.v.regs.back; r != nil; r = r.prev {
				names = append(names, r.v.fn.name)
			}
			p.out = append(p.out, strconv.Itoa(n.v.fd)+" "+n.v.ip+" "+n.v.id+" : "+strings.Join(names, " ")+"\n"...)
		}
		p.out = append(p.out, ".\n"...)
	case "jobs":
		for n := q.jobs.front; n != nil; n = n.next {
			j := n.v
			p.out = append(p.out, j.fn.name+"\t"+j.unique+"\t"+perlWorker(j)+"\t"+strconv.Itoa(j.waiters.n)+"\n"...)
		}
		p.out = append(p.out, ".\n"...)
	case "clients":
		for n := q.peers.back; n != nil; n = n.prev {
			p.out = append(p.out, n.v.perlAddr()+"\n"...)
			for w := n.v.waits.back; w != nil; w = w.prev {
				p.out = append(p.out, "\t"+w.v.job.fn.name+"\t"+w.v.job.unique+"\t"+perlWorker(w.v.job)+"\n"...)
			}
		}
		p.out = append(p.out, ".\n"...)
	case "maxqueue":
		words := strings.Fields(rest)
		if len(words) == 0 {
			p.out = append(p.out, "ERR incomplete_args An+incomplete+set+of+arguments+was+sent+to+this+command\r\n"...)
			break
		}
		f := q.function([]byte(words[0]))
		f.limit[normal] = 0
		if len(words) > 1 {
			f.limit[normal] = max(int(int32(atoi([]byte(words[1])))), 0)
		}
		p.out = append(p.out, "OK\n"...)
	case "gladiator":
		p.out = append(p.out, ".\n"...)
	case "version":
		p.out = append(p.out, me.version+"\n"...)
	default:
		p.out = append(p.out, "ERR unknown_command \r\n"...)
	}
}

func (q *queue) perlTextStatus(p *peer) {
	for _, f := range slices.SortedFunc(
		slices.Values(q.functions), func(a, b *function) int { return strings.Compare(a.name, b.name) },
	) {
		if f.total > 0 || f.workers > 0 {
			p.out = append(
				p.out,
				f.name+"\t"+strconv.Itoa(f.total)+"\t"+strconv.Itoa(f.running)+"\t"+strconv.Itoa(f.workers)+"\n"...,
			)
		}
	}
	p.out = append(p.out, ".\n"...)
}

func perlWorker(j *job) string {
	if j.worker == nil {
		return "-"
	}
	return j.worker.peer.perlAddr()
}

func (p *peer) perlAddr() string { return p.ip + ":" + strconv.Itoa(p.fd) }

// cutWord splits a line into its command, which consists of letters, digits and underscores, and
// its arguments.
func cutWord(line string) (word, rest string) {
	i := strings.IndexFunc(line, func(r rune) bool {
		return r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
	if i < 0 {
		return line, ""
	}
	return line[:i], strings.TrimLeft(line[i:], " \t")
}
