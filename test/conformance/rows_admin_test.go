package conformance

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/gearman-operator/gearman-operator/gearman/proto"
)

// These lists name the job servers that lack a feature.
var (
	onPerl     = []string{namePerl}
	onGearmand = []string{nameGearmand, nameGearmand2}
	onAllBut1  = []string{nameGearmand2, namePerl}
	onAllBut2  = []string{nameGearmand, namePerl}
)

var adminRows = []row{
	{group: "admin", name: "status of an empty server", run: func(c *check) { c.status() }},
	{group: "admin", name: "status counts queued and running jobs", run: func(c *check) {
		client := c.dial("client")
		h := client.submit(proto.TypeSubmitJobBG, "f", "", "1")
		client.submit(proto.TypeSubmitJobBG, "f", "", "2")
		c.status("f 2 0 0")
		w := c.worker("worker", "f")
		c.status("f 2 0 1")
		w.grab(h, "f", "1")
		c.status("f 2 1 1")
		w.send(proto.TypeWorkComplete, h, "")
		c.status("f 1 0 1")
	}},
	{group: "admin", name: "functions stay listed at zero", not: onPerl, run: func(c *check) {
		w := c.worker("worker", "f")
		c.status("f 0 0 1")
		w.close()
		c.status("f 0 0 0")
	}},
	{group: "admin", name: "functions without jobs and workers vanish", not: onGearmand, run: func(c *check) {
		w := c.worker("worker", "f")
		c.status("f 0 0 1")
		w.close()
		c.status()
	}},
	{group: "admin", name: "CAN_DO twice counts twice", not: onPerl, run: func(c *check) {
		w := c.worker("worker", "f", "f", "g")
		c.status("f 0 0 2", "g 0 0 1")
		w.send(proto.TypeCantDo, "f")
		c.status("f 0 0 0", "g 0 0 1")
	}},
	{group: "admin", name: "CAN_DO twice counts once", not: onGearmand, run: func(c *check) {
		c.worker("worker", "f", "f")
		c.status("f 0 0 1")
	}},
	{group: "admin", name: "tabs, blanks and high bytes in names come raw", run: func(c *check) {
		c.worker("worker", "tab\tname", "with blank", "\xff\xfe")
		c.settles("status\n", "tab\tname\t0\t0\t1", "with blank\t0\t0\t1", "\xff\xfe\t0\t0\t1")
	}},
	{group: "admin", name: "prioritystatus counts what is queued", not: onPerl, run: func(c *check) {
		client := c.dial("client")
		client.submit(proto.TypeSubmitJobHighBG, "f", "", "")
		client.submit(proto.TypeSubmitJobBG, "f", "", "")
		client.submit(proto.TypeSubmitJobBG, "f", "", "")
		client.submit(proto.TypeSubmitJobLowBG, "f", "", "")
		w := c.worker("worker", "f")
		c.settles("prioritystatus\n", "f\t1\t2\t1\t1")
		w.send(proto.TypeGrabJob)
		c.settles("prioritystatus\n", "f\t0\t2\t1\t1")
	}},
	{group: "admin", name: "workers lists every connection and the asker", run: func(c *check) {
		w := c.worker("worker", "f")
		w.send(proto.TypeSetClientID, "me")
		w.sync()
		idle := c.dial("idle")
		idle.sync()
		var got []string
		for _, r := range c.admin().rows("workers\n") {
			fd, rest, _ := strings.Cut(r, " ")
			if !regexp.MustCompile(`^\d+$`).MatchString(fd) {
				c.failf("a row of workers starts with %q, want a number", fd)
			}
			got = append(got, strings.TrimRight(rest, " "))
		}
		slices.Sort(got)
		c.equal("workers", strings.Join(got, "\n"), "127.0.0.1 - :\n127.0.0.1 - :\n127.0.0.1 me : f")
	}},
	{group: "admin", name: "workers lists the last registered function first", not: onPerl, run: func(c *check) {
		// with this many, no hash table gives this order by chance
		w := c.worker("worker", strings.Split("abcdefgh", "")...)
		w.send(proto.TypeSetClientID, "me")
		w.sync()
		c.wantRow("workers\n", regexp.MustCompile(`^\d+ 127\.0\.0\.1 me : h g f e d c b a$`))
	}},
	{group: "admin", name: "show jobs", not: onPerl, run: func(c *check) {
		client := c.dial("client")
		bg := client.submit(proto.TypeSubmitJobBG, "f", "", "")
		fg := client.submit(proto.TypeSubmitJob, "f", "", "")
		c.settles("show jobs\n", bg+"\t0\t0\t1", fg+"\t0\t0\t0")
	}},
	{group: "admin", name: "show unique jobs", not: onPerl, run: func(c *check) {
		client := c.dial("client")
		one := client.submit(proto.TypeSubmitJobBG, "f", "u1", "")
		two := client.submit(proto.TypeSubmitJobBG, "f", "u2", "")
		if c.version().UniqueWithHandle() {
			c.settles("show unique jobs\n", one+"\tu1", two+"\tu2")
		} else {
			c.settles("show unique jobs\n", "u1", "u2")
		}
	}},
	{group: "admin", name: "jobs and clients of the Perl server", not: onGearmand, run: func(c *check) {
		client := c.dial("client")
		client.submit(proto.TypeSubmitJob, "f", "u1", "")
		c.settles("jobs\n", "f\tu1\t-\t1")
		c.wantRow("clients\n", regexp.MustCompile(`^\tf\tu1\t-$`))
	}},
	{group: "admin", name: "cancel job: queued, it stays counted until a worker passes", not: onPerl, run: func(c *check) {
		client := c.dial("client")
		h := client.submit(proto.TypeSubmitJobBG, "f", "", "")
		c.admin().wantLine("cancel job "+h+"\n", "OK\r\n")
		c.settles("show jobs\n", h+"\t0\t1\t0")
		c.status("f 1 0 0")
		c.worker("worker", "f").grabNothing()
		c.status("f 0 0 1")
	}},
	{group: "admin", name: "cancel job: a waiting client gets WORK_FAIL", not: onPerl, run: func(c *check) {
		client := c.dial("client")
		h := client.submit(proto.TypeSubmitJob, "f", "", "")
		c.admin().wantLine("cancel job "+h+"\n", "OK\r\n")
		client.want(proto.TypeWorkFail, h)
	}},
	{group: "admin", name: "cancel job: a running one runs to its end", not: onPerl, run: func(c *check) {
		client := c.dial("client")
		h := client.submit(proto.TypeSubmitJobBG, "f", "", "x")
		w := c.worker("worker", "f")
		w.grab(h, "f", "x")
		c.admin().wantLine("cancel job "+h+"\n", "OK\r\n")
		w.sync()
		c.status("f 1 1 1")
		w.send(proto.TypeWorkComplete, h, "")
		w.sync()
		c.status("f 0 0 1")
	}},
	{group: "admin", name: "cancel job: unknown and wrong forms", not: onPerl, run: func(c *check) {
		a := c.admin()
		a.wantLine("cancel job H:nosuch:1\n", "ERR UNKNOWN_JOB\r\n")
		a.wantLine("cancel job \n", "ERR UNKNOWN_JOB\r\n")
		a.wantLine("cancel foo bar\n", "ERR UNKNOWN_ERROR\r\n")
		a.wantLine("cancel job\n", "ERR UNKNOWN_COMMAND Unknown+server+commandcancel\r\n")
		a.wantLine("cancel\n", "ERR UNKNOWN_COMMAND Unknown+server+commandcancel\r\n")
	}},
	{group: "admin", name: "create function, with the byte that a bare newline costs", not: onPerl, run: func(c *check) {
		c.admin().wantLine("create function abc\r\n", "OK\r\n")
		c.admin().wantLine("create function xyz\n", "OK\r\n")
		c.status("abc 0 0 0", "xy 0 0 0")
	}},
	{group: "admin", name: "drop function", not: onPerl, run: func(c *check) {
		a := c.admin()
		a.wantLine("drop function f\n", "ERR function not found\r\n")
		w := c.worker("worker", "f")
		a.wantLine("drop function f\n", "ERR there are still connected workers or executing clients\r\n")
		w.close()
		c.status("f 0 0 0")
		a.wantLine("drop function F\n", "OK\r\n")
		c.status()
	}},
	{group: "admin", name: "drop function leaves its jobs dangling", not: onPerl, run: func(c *check) {
		h := c.dial("client").submit(proto.TypeSubmitJobBG, "f", "", "")
		c.admin().wantLine("drop function f\n", "OK\r\n")
		c.status()
		c.settles("show jobs\n", h+"\t0\t0\t1")
	}},
	{group: "admin", name: "create and drop: incomplete", not: onPerl, run: func(c *check) {
		for _, l := range []string{
			"create", "create function", "create foo bar", "drop", "drop function", "drop foo bar", "maxqueue",
		} {
			word, _, _ := strings.Cut(l, " ")
			c.admin().wantLine(
				l+"\n", "ERR INVALID_ARGUMENTS An+incomplete+set+of+arguments+was+sent+to+this+command+"+word+"\r\n",
			)
		}
	}},
	{group: "admin", name: "getpid and verbose", not: onPerl, run: func(c *check) {
		c.wantMatch("getpid\n", `^OK \d+\n$`)
		c.wantMatch("verbose\n", `^OK [A-Z]+\n$`)
	}},
	{group: "admin", name: "version with OK", not: onPerl, run: func(c *check) { c.wantMatch("version\n", `^OK \d+\.\d+\.\d+\S*\n$`) }},
	{group: "admin", name: "version without OK", not: onGearmand, run: func(c *check) {
		c.wantMatch("version\n", `^v\d+\.\d+\.\d+\n$`)
	}},
	{group: "admin", name: "commands are case-insensitive, LF and CRLF end a line", run: func(c *check) {
		first := c.admin().line("version\n")
		c.admin().wantLine("VERSION\r\n", first)
		c.settles("Status\r\n")
	}},
	{group: "admin", name: "commands can be pipelined", run: func(c *check) {
		version := c.admin().line("version\n")
		c.admin().wantLine("version\nversion\n", version)
		c.equal("the second answer", c.admin().readLine(), version)
	}},
	{group: "admin", name: "a line can come in pieces", run: func(c *check) {
		version := c.admin().line("version\n")
		c.admin().raw("ver")
		time.Sleep(5 * time.Millisecond) // gives the server time to see the half, which the row does not need to hold
		c.admin().wantLine("sion\n", version)
	}},
	{group: "admin", name: "text and binary mix on one connection", run: func(c *check) {
		version := c.admin().line("version\n")
		c.admin().sync()
		c.admin().wantLine("version\n", version)
	}},
	{group: "admin", name: "unknown commands", not: onPerl, run: func(c *check) {
		for line, word := range map[string]string{
			"foo\n": "foo", "foo bar\n": "foo", "\n": "", "\r\n": "", " status\n": "", "show\n": "show",
			"shutdown\n":   "shutdown",
			"show\tjobs\n": "show\tjobs", "\x80a\n": "\x80a",
		} {
			c.admin().wantLine(line, "ERR UNKNOWN_COMMAND Unknown+server+command"+word+"\r\n")
		}
	}},
	{group: "admin", name: "show with wrong arguments", not: onPerl, run: func(c *check) {
		for _, l := range []string{"show foo\n", "show jobs x\n", "show unique\n", "show jobs \n"} {
			c.admin().wantLine(l, "ERR UNKNOWN_SHOW_ARGUMENTS\r\n")
		}
	}},
	{group: "admin", name: "blanks between words don't count, arguments too many are ignored", not: onPerl, run: func(c *check) {
		c.settles("show  jobs\n")
		c.settles("status a b c d\n")
		c.settles("prioritystatus x\n")
	}},
	{group: "admin", name: "a sixth word closes the connection", not: onPerl, run: func(c *check) {
		c.admin().wantLine("a b c d e\n", "ERR UNKNOWN_COMMAND Unknown+server+commanda\r\n")
		c.admin().raw("a b c d e f\n")
		c.admin().wantClosed()
	}},
	{group: "admin", name: "a line of more than 8,192 bytes closes the connection", not: onPerl, run: func(c *check) {
		word := strings.Repeat("x", 8000)
		c.admin().wantLine(word+"\n", "ERR UNKNOWN_COMMAND Unknown+server+command"+word+"\r\n")
		c.admin().raw(strings.Repeat("x", 8193))
		c.admin().wantClosed()
	}},
	{group: "admin", name: "maxqueue answers OK for any function", not: onPerl, run: func(c *check) {
		c.admin().wantLine("maxqueue nosuch 1\n", "OK\r\n")
		c.admin().wantLine("maxqueue nosuch\n", "OK\r\n")
		c.status()
	}},
}

func (c *check) wantMatch(command, pattern string) {
	if got := c.admin().line(command); !regexp.MustCompile(pattern).MatchString(got) {
		c.failf("the answer to %q: got %q, want a match of %s", command, got, pattern)
	}
}

// wantRow fails unless one row of an answer matches.
func (c *check) wantRow(command string, pattern *regexp.Regexp) {
	rows := c.admin().rows(command)
	if !slices.ContainsFunc(rows, pattern.MatchString) {
		c.failf("the rows of %q: got %q, want one that matches %s", strings.TrimSpace(command), rows, pattern)
	}
}
