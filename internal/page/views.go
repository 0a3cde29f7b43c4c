package page

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	rowsShown     = 200
	problemsShown = 50
)

// view is the input of a page's template.
type view struct {
	Title, Path, Base string
	Nav               []link
	Now               time.Time
	At, Error, Note   string
	CanSubmit         bool

	Problems     []problem
	MoreProblems int
	Rows         []row
	MoreRows     int
	Query, Sort  string
	Sorts        []string

	Pool      *Pool
	Servers   []Server
	Functions []function
	Try       tried
}

type link struct{ Path, Title string }

type problem struct{ Path, Name, Text string }

type row struct {
	Pool
	FunctionText string
	Spark        string
	SparkMax     float32
}

type function struct {
	Name            string
	Queued, Running int64
	Workers         int32
	Pools           []string
	Orphaned        bool
	Known           bool // there are figures
}

type tried struct {
	Function, Workload string
	Done               bool
	Result, Error      string
	Seconds            float64
}

var nav = []link{{"", "Overview"}, {"servers", "Job servers"}, {"functions", "Functions"}, {"try", "Try a job"}}

// view returns what all pages share. Base is the relative path from the page to the root, so that
// the page works under any prefix.
func (h *Handler) view(title, path, base string) (*view, Snapshot) {
	s, _, err := h.now()
	v := &view{Title: title, Path: path, Base: base, Nav: nav, Now: s.At, Note: s.Note, CanSubmit: h.o.Submit != nil}
	if err != nil {
		v.Error = err.Error()
	}
	if !s.At.IsZero() {
		v.At = "as of " + s.At.Format("15:04:05")
	}
	return v, s
}

// sorts are the orders of pools. Figures sort the greatest first.
var sorts = map[string]func(a, b *Pool) int{
	"problems": func(a, b *Pool) int { return cmp.Compare(len(b.Problems), len(a.Problems)) },
	"name":     func(_, _ *Pool) int { return 0 },
	"queued":   func(a, b *Pool) int { return cmp.Compare(b.Queued, a.Queued) },
	"wait":     func(a, b *Pool) int { return cmp.Compare(b.WaitSeconds, a.WaitSeconds) },
	"workers":  func(a, b *Pool) int { return cmp.Compare(b.Ready, a.Ready) },
}

var sortNames = []string{"problems", "name", "queued", "wait", "workers"}

func (h *Handler) overview(w http.ResponseWriter, r *http.Request) {
	v, s := h.view("Overview", "", "./")
	v.Query, v.Sort, v.Sorts = r.FormValue("q"), r.FormValue("sort"), sortNames
	if sorts[v.Sort] == nil {
		v.Sort = sortNames[0]
	}
	v.problems(&s)
	found := make([]*Pool, 0, len(s.Pools))
	for i := range s.Pools {
		if p := &s.Pools[i]; p.matches(v.Query) {
			found = append(found, p)
		}
	}
	slices.SortStableFunc(found, func(a, b *Pool) int {
		return cmp.Or(sorts[v.Sort](a, b), strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
	})
	v.MoreRows = max(0, len(found)-rowsShown)
	for _, p := range found[:len(found)-v.MoreRows] {
		shown := row{Pool: *p, FunctionText: strings.Join(p.Functions[:min(len(p.Functions), 5)], ", ")}
		if len(p.Functions) > 5 {
			shown.FunctionText += ", ..."
		}
		shown.Spark, shown.SparkMax = h.history.spark(p.Namespace + "/" + p.Name)
		v.Rows = append(v.Rows, shown)
	}
	h.render(w, http.StatusOK, "overview", v)
}

func (p *Pool) matches(query string) bool {
	return query == "" || strings.Contains(p.Namespace+"/"+p.Name, query) ||
		slices.ContainsFunc(p.Functions, func(f string) bool { return strings.Contains(f, query) })
}

func (v *view) problems(s *Snapshot) {
	var all []problem
	for _, f := range functionsOf(s) {
		if f.Orphaned {
			all = append(all, problem{"functions", f.Name, "jobs wait and there is no worker for them"})
		}
	}
	for i := range s.Pools {
		p := &s.Pools[i]
		for _, text := range p.Problems {
			all = append(all, problem{"pools/" + p.Namespace + "/" + p.Name, p.Namespace + "/" + p.Name, text})
		}
	}
	v.MoreProblems = max(0, len(all)-problemsShown)
	v.Problems = all[:len(all)-v.MoreProblems]
}

func (h *Handler) pool(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("namespace") + "/" + r.PathValue("name")
	v, s := h.view(name, "pools", "../../")
	for i := range s.Pools {
		if p := &s.Pools[i]; p.Namespace+"/"+p.Name == name {
			v.Pool = p
		}
	}
	status := http.StatusOK
	if v.Pool == nil {
		status = http.StatusNotFound
	}
	h.render(w, status, "pool", v)
}

func (h *Handler) servers(w http.ResponseWriter, _ *http.Request) {
	v, s := h.view("Job servers", "servers", "./")
	v.Servers = s.Servers
	h.render(w, http.StatusOK, "servers", v)
}

func (h *Handler) functions(w http.ResponseWriter, _ *http.Request) {
	v, s := h.view("Functions", "functions", "./")
	v.Functions = functionsOf(&s)
	h.render(w, http.StatusOK, "functions", v)
}

// functionsOf lists the functions of all job servers, and of all pools.
func functionsOf(s *Snapshot) []function {
	all := map[string]*function{}
	get := func(name string) *function {
		f := all[name]
		if f == nil {
			f = &function{Name: name}
			all[name] = f
		}
		return f
	}
	for _, known := range s.Functions {
		f := get(known.Name)
		f.Queued, f.Running, f.Workers, f.Known = known.Queued, known.Running, known.Workers, true
	}
	for i := range s.Pools {
		for _, name := range s.Pools[i].Functions {
			f := get(name)
			f.Pools = append(f.Pools, s.Pools[i].Namespace+"/"+s.Pools[i].Name)
		}
	}
	out := make([]function, 0, len(all))
	for _, f := range all {
		f.Orphaned = len(f.Pools) == 0 && f.Queued > 0 && f.Workers == 0
		out = append(out, *f)
	}
	slices.SortFunc(out, func(a, b function) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// try shows the form, and runs the submitted job.
func (h *Handler) try(w http.ResponseWriter, r *http.Request) {
	v, s := h.view("Try a job", "try", "./")
	v.Functions = functionsOf(&s)
	if r.Method != http.MethodPost {
		v.Try.Function = r.FormValue("function")
		h.render(w, http.StatusOK, "try", v)
		return
	}
	if h.o.Submit == nil {
		h.render(w, http.StatusForbidden, "try", v)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		http.Error(w, "The form can't be read: "+err.Error(), http.StatusBadRequest)
		return
	}
	v.Try = tried{Function: r.PostFormValue("function"), Workload: r.PostFormValue("workload"), Done: true}
	status := h.submit(r.Context(), &v.Try, r.PostFormValue("confirm") == "yes")
	h.render(w, status, "try", v)
}

func (h *Handler) submit(ctx context.Context, t *tried, confirmed bool) (status int) {
	switch {
	case !confirmed:
		t.Error = "The job was not submitted: confirm that real workers may process it."
		return http.StatusBadRequest
	case t.Function == "":
		t.Error = "Name a function."
		return http.StatusBadRequest
	}
	ctx, cancel := context.WithTimeout(ctx, submitTimeout)
	defer cancel()
	began := time.Now()
	result, err := h.o.Submit(ctx, t.Function, []byte(t.Workload))
	t.Seconds = time.Since(began).Seconds()
	if err != nil {
		t.Error = "The job failed: " + err.Error()
		return http.StatusBadGateway
	}
	t.Result = string(result[:min(len(result), maxForm)])
	if !utf8.ValidString(t.Result) {
		t.Result = strings.ToValidUTF8(t.Result, "\uFFFD")
	}
	return http.StatusOK
}

func seconds(s float64) string {
	d := time.Duration(s * float64(time.Second))
	switch {
	case d == 0:
		return "0 s"
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	}
	return d.Round(100 * time.Millisecond).String()
}

func age(now, since time.Time) string { return max(0, now.Sub(since)).Round(time.Second).String() }
