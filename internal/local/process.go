package local

import (
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/gearman-operator/gearman-operator/internal/localworker"
)

// process is one worker process.
type process struct {
	pool      *pool
	uid, name string
	hash      string // of the plan that it was started with
	pid       int
	created   time.Time
	readyAt   time.Time // zero: not yet
	stopping  bool
	leftover  string // the state file of a worker that an earlier fleet started
	input     io.Closer
	program   program
	kill      *time.Timer
}

// program is what a process runs.
type program interface {
	signal(s syscall.Signal)
	kill() // it and its children
}

// osProgram is a program of the operating system, by its process id. It has not been waited for, so
// that the id is its own.
type osProgram int

func (pid osProgram) signal(s syscall.Signal) { _ = syscall.Kill(int(pid), s) }
func (pid osProgram) kill()                   { _ = syscall.Kill(-int(pid), syscall.SIGKILL) }

// killMargin is added to the drain, after which a worker is killed: it normally stops before that.
const killMargin = 10 * time.Second

// start starts a worker process.
func (p *pool) start(now time.Time) (*process, error) {
	uid := strings.ToLower(rand.Text()[:8])
	w := &process{pool: p, uid: uid, name: p.key.Name + "-" + uid[:5], hash: p.plan.hash, created: now}
	if err := p.fleet.launch(w); err != nil {
		return nil, err
	}
	p.processes = append(p.processes, w)
	p.updatePods()
	return w, nil
}

// exec starts the program of a worker process.
func (f *Fleet) exec(w *process) error {
	p := w.pool
	state := p.path(w.uid + ".worker")
	args := slices.Concat(
		[]string{"worker", "--state=" + state, "--uid=" + w.uid, "--name=" + w.name}, p.plan.flags,
		[]string{p.plan.mode}, p.plan.args,
	)
	cmd := exec.Command(f.o.Program, args...)
	cmd.Env = slices.Concat(os.Environ(), f.o.ProgramEnv, p.plan.env)
	// A process group of its own, so that signals of a terminal to the fleet don't reach the
	// workers.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: f.user.credential()}
	cmd.WaitDelay = 2 * time.Second
	input, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	cmd.Stdout = &readyWriter{ready: sync.OnceFunc(func() { f.post(func() { w.ready() }) })}
	log := f.output.from(w.name)
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", f.o.Program, err)
	}
	w.input, w.pid, w.program = input, cmd.Process.Pid, osProgram(cmd.Process.Pid)
	f.waiting.Go(func() {
		err := cmd.Wait()
		log.flush()
		_ = os.Remove(state)
		f.post(func() { w.ended(err) })
	})
	return nil
}

// ready records that the worker has reported to be ready.
func (w *process) ready() {
	w.readyAt = time.Now()
	w.pool.act(w.readyAt) // it may replace an older one
}

func (w *process) ended(err error) {
	if w.kill != nil {
		w.kill.Stop()
	}
	_ = w.input.Close() // Wait has closed it already
	w.pool.ended(w, err)
}

// stop makes the worker finish its jobs and end.
func (w *process) stop() {
	if w.stopping {
		return
	}
	w.stopping = true
	w.program.signal(syscall.SIGTERM)
	w.kill = time.AfterFunc(w.pool.plan.drain+killMargin, w.program.kill)
}

// signalAgain makes a stopping worker requeue its jobs. One of an earlier fleet is left alone.
func (w *process) signalAgain() {
	if w.leftover == "" {
		w.program.signal(syscall.SIGTERM)
	}
}

// readyWriter calls ready when a worker has reported to be ready.
type readyWriter struct {
	ready func()
	seen  []byte
}

func (r *readyWriter) Write(b []byte) (int, error) {
	if len(r.seen) < len(localworker.Ready) {
		r.seen = append(r.seen, b[:min(len(b), len(localworker.Ready)-len(r.seen))]...)
		if string(r.seen) == localworker.Ready {
			r.ready()
		}
	}
	return len(b), nil
}

// account is the user that runs the workers; nil: the fleet's own.
type account struct{ uid, gid uint32 }

func lookUpAccount(name string) (*account, error) {
	if name == "" {
		return nil, nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		return nil, fmt.Errorf("--user: %w", err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("--user: %s has the id %q, which is not a number", name, u.Uid)
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("--user: %s has the group %q, which is not a number", name, u.Gid)
	}
	if int(uid) != os.Geteuid() && os.Geteuid() != 0 {
		return nil, fmt.Errorf("--user: only root can run workers as another user")
	}
	return &account{uint32(uid), uint32(gid)}, nil
}

func (a *account) credential() *syscall.Credential {
	if a == nil || int(a.uid) == os.Geteuid() {
		return nil
	}
	return &syscall.Credential{Uid: a.uid, Gid: a.gid}
}

// own makes the account the owner of the state directory.
func (a *account) own(dir string) error {
	if a.credential() == nil {
		return nil
	}
	return os.Chown(dir, int(a.uid), int(a.gid))
}
