// Command chaosruntime runs jobs by real gearman-workers on a real gearmand while workers are
// killed and lose their command, connections are cut and, where its queue is persistent, gearmand
// is killed; then it counts what became of each job. make chaos-runtime runs it; its last line is
// RESULT and a JSON object.
package main
