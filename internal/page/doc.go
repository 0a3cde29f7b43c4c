// Package page is the web page about pools: problems first, then pools, one pool, job servers,
// functions, and a form to try a job. It is one http.Handler over a [Source].
//
// Pages are rendered by the server; a small script replaces the changed parts when the server
// reports a change. Names that others chose (functions, pools, job servers) are rendered by
// html/template. The content security policy allows only the page's own files. It is read-only
// unless [Options.Submit] is set.
//
// [Handler.Run] owns the one goroutine that watches the source; it ends with its context.
package page
