// Package hostile measures the cost of hostile tenants to the others. The operator runs as a
// process of its own, under the chart's memory limit, on a real kube-apiserver. There are twelve
// job servers that do what they can against it, hostile pools that name many job servers and
// functions, and one victim, whose pools have a job server of their own.
//
// Without BENCH_HOSTILE it runs for seconds with a few pools, to show that it works.
package hostile
