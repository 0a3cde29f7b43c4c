// Command chaosruntime runs jobs with real gearman-workers on a real gearmand while workers are
// killed and lose their command, connections are cut and, if its queue is persistent, gearmand is
// killed. Then it counts what happened to each job. make chaos-runtime runs it; its last line is
// RESULT and a JSON object.
package main
