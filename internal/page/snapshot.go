package page

import (
	"time"

	"github.com/gearman-operator/gearman-operator/internal/outcome"
)

// Snapshot is everything that the page shows, at one moment.
type Snapshot struct {
	At      time.Time `json:"at"`
	Pools   []Pool    `json:"pools"`
	Servers []Server  `json:"servers"`
	// Functions are those that job servers list, if the source knows them.
	Functions []Function `json:"functions,omitempty"`
	// Note is a remark for the reader about the figures.
	Note string `json:"note,omitempty"`
}

// Function is one function, summed over the job servers.
type Function struct {
	Name    string `json:"name"`
	Queued  int64  `json:"queued"`
	Running int64  `json:"running"`
	Workers int32  `json:"workers"`
}

// Pool is one pool.
type Pool struct {
	Namespace string   `json:"namespace"`
	Name      string   `json:"name"`
	Functions []string `json:"functions"`
	Servers   []string `json:"servers"` // as the pool names them

	Queued        int64   `json:"queued"`
	Running       int64   `json:"running"`
	WaitSeconds   float64 `json:"waitSeconds"`   // estimated age of the oldest queued job
	TargetSeconds float64 `json:"targetSeconds"` // 0: no target
	JobSeconds    float64 `json:"jobSeconds"`
	StartSeconds  float64 `json:"startSeconds"`
	Completed     int64   `json:"completed"`
	Failed        int64   `json:"failed"`
	Requeued      int64   `json:"requeued"`
	// LastHour: Completed, Failed and Requeued are those of the last hour. Otherwise they are
	// counted since the source was started.
	LastHour bool `json:"lastHour,omitempty"`
	// Results are how the jobs of each function ended since the source was started, if it counts
	// them.
	Results []outcome.FunctionCounts `json:"-"`

	Replicas int32 `json:"replicas"`
	Desired  int32 `json:"desired"`
	Ready    int32 `json:"ready"`
	Min      int32 `json:"min"`
	Max      int32 `json:"max"`

	Mode    string `json:"mode,omitempty"`    // Auto, Manual, DryRun or Paused
	Runtime string `json:"runtime,omitempty"` // exec, stream, http, or none

	Reason   string           `json:"reason"`
	Message  string           `json:"message"`
	Limited  string           `json:"limited,omitempty"`
	Partial  bool             `json:"partial"`
	Stuck    bool             `json:"notRunnable"`
	Terms    map[string]int64 `json:"terms,omitempty"`
	Workers  []Worker         `json:"workers"`
	Problems []string         `json:"problems,omitempty"`
}

// Worker is one worker of a pool: a process, or a pod.
type Worker struct {
	Name     string    `json:"name"`
	State    string    `json:"state"` // starting, idle, busy, ready (nothing is known of its jobs), draining
	Busy     int32     `json:"busy"`
	Capacity int32     `json:"capacity"`
	Since    time.Time `json:"since"` // when it was created
}

// Server is one job server.
type Server struct {
	Address string    `json:"address"`
	State   string    `json:"state"`
	Answer  time.Time `json:"answer"` // of the last good answer; zero: none yet
	// AnswerUnknown: the source does not know when that was.
	AnswerUnknown bool `json:"answerUnknown,omitempty"`
}
