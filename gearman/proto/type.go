package proto

import "strconv"

// Type is the type of a binary packet.
type Type uint32

// The packet types. The comment gives the direction (C client, W worker, S server) and the
// arguments; "+ data" is an opaque last argument that may contain any byte.
const (
	TypeCanDo           Type = 1  // W->S: function
	TypeCantDo          Type = 2  // W->S: function
	TypeResetAbilities  Type = 3  // W->S
	TypePreSleep        Type = 4  // W->S
	TypeNoop            Type = 6  // S->W
	TypeSubmitJob       Type = 7  // C->S: function, unique + data
	TypeJobCreated      Type = 8  // S->C: handle
	TypeGrabJob         Type = 9  // W->S
	TypeNoJob           Type = 10 // S->W
	TypeJobAssign       Type = 11 // S->W: handle, function + data
	TypeWorkStatus      Type = 12 // W->S->C: handle, numerator, denominator
	TypeWorkComplete    Type = 13 // W->S->C: handle + data
	TypeWorkFail        Type = 14 // W->S->C: handle
	TypeGetStatus       Type = 15 // C->S: handle
	TypeEchoReq         Type = 16 // C,W->S: + data
	TypeEchoRes         Type = 17 // S->C,W: + data
	TypeSubmitJobBG     Type = 18 // C->S: function, unique + data
	TypeError           Type = 19 // S->C,W: code + text
	TypeStatusRes       Type = 20 // S->C: handle, known, running, numerator, denominator
	TypeSubmitJobHigh   Type = 21 // C->S: function, unique + data
	TypeSetClientID     Type = 22 // W->S: id
	TypeCanDoTimeout    Type = 23 // W->S: function, milliseconds
	TypeAllYours        Type = 24 // W->S (no known job server accepts it)
	TypeWorkException   Type = 25 // W->S->C: handle + data
	TypeOptionReq       Type = 26 // C,W->S: option
	TypeOptionRes       Type = 27 // S->C,W: option
	TypeWorkData        Type = 28 // W->S->C: handle + data
	TypeWorkWarning     Type = 29 // W->S->C: handle + data
	TypeGrabJobUniq     Type = 30 // W->S
	TypeJobAssignUniq   Type = 31 // S->W: handle, function, unique + data
	TypeSubmitJobHighBG Type = 32 // C->S: function, unique + data
	TypeSubmitJobLow    Type = 33 // C->S: function, unique + data
	TypeSubmitJobLowBG  Type = 34 // C->S: function, unique + data
	// C->S: function, unique, minute, hour, day, month, weekday + data (no known job server accepts
	// it)
	TypeSubmitJobSched  Type = 35
	TypeSubmitJobEpoch  Type = 36 // C->S: function, unique, epoch + data
	TypeSubmitReduceJob Type = 37 // C->S: function, unique, reducer, aggregate + data
	TypeSubmitReduceBG  Type = 38 // C->S: function, unique, reducer, aggregate + data
	TypeGrabJobAll      Type = 39 // W->S
	TypeJobAssignAll    Type = 40 // S->W: handle, function, unique, reducer + data
	TypeGetStatusUnique Type = 41 // C->S: unique
	TypeStatusResUnique Type = 42 // S->C: unique, known, running, numerator, denominator, clients
	maxType                  = 42
	maxArgs                  = 8
)

// A spec describes how the data of a packet is split: into args NUL-separated arguments, the last
// of which extends to the end.
type spec struct {
	name string
	args int
	dirs uint8 // who may send it
	open bool  // the last argument is opaque data, which may contain NUL bytes
}

const (
	toServer   = 1 << uint8(Request)
	fromServer = 1 << uint8(Response)
	relayed    = toServer | fromServer
)

var specs = [maxType + 1]spec{
	TypeCanDo:           {"CAN_DO", 1, toServer, false},
	TypeCantDo:          {"CANT_DO", 1, toServer, false},
	TypeResetAbilities:  {"RESET_ABILITIES", 0, toServer, false},
	TypePreSleep:        {"PRE_SLEEP", 0, toServer, false},
	TypeNoop:            {"NOOP", 0, fromServer, false},
	TypeSubmitJob:       {"SUBMIT_JOB", 3, toServer, true},
	TypeJobCreated:      {"JOB_CREATED", 1, fromServer, false},
	TypeGrabJob:         {"GRAB_JOB", 0, toServer, false},
	TypeNoJob:           {"NO_JOB", 0, fromServer, false},
	TypeJobAssign:       {"JOB_ASSIGN", 3, fromServer, true},
	TypeWorkStatus:      {"WORK_STATUS", 3, relayed, false},
	TypeWorkComplete:    {"WORK_COMPLETE", 2, relayed, true},
	TypeWorkFail:        {"WORK_FAIL", 1, relayed, false},
	TypeGetStatus:       {"GET_STATUS", 1, toServer, false},
	TypeEchoReq:         {"ECHO_REQ", 1, toServer, true},
	TypeEchoRes:         {"ECHO_RES", 1, fromServer, true},
	TypeSubmitJobBG:     {"SUBMIT_JOB_BG", 3, toServer, true},
	TypeError:           {"ERROR", 2, fromServer, true},
	TypeStatusRes:       {"STATUS_RES", 5, fromServer, false},
	TypeSubmitJobHigh:   {"SUBMIT_JOB_HIGH", 3, toServer, true},
	TypeSetClientID:     {"SET_CLIENT_ID", 1, toServer, false},
	TypeCanDoTimeout:    {"CAN_DO_TIMEOUT", 2, toServer, false},
	TypeAllYours:        {"ALL_YOURS", 0, toServer, false},
	TypeWorkException:   {"WORK_EXCEPTION", 2, relayed, true},
	TypeOptionReq:       {"OPTION_REQ", 1, toServer, false},
	TypeOptionRes:       {"OPTION_RES", 1, fromServer, false},
	TypeWorkData:        {"WORK_DATA", 2, relayed, true},
	TypeWorkWarning:     {"WORK_WARNING", 2, relayed, true},
	TypeGrabJobUniq:     {"GRAB_JOB_UNIQ", 0, toServer, false},
	TypeJobAssignUniq:   {"JOB_ASSIGN_UNIQ", 4, fromServer, true},
	TypeSubmitJobHighBG: {"SUBMIT_JOB_HIGH_BG", 3, toServer, true},
	TypeSubmitJobLow:    {"SUBMIT_JOB_LOW", 3, toServer, true},
	TypeSubmitJobLowBG:  {"SUBMIT_JOB_LOW_BG", 3, toServer, true},
	TypeSubmitJobSched:  {"SUBMIT_JOB_SCHED", 8, toServer, true},
	TypeSubmitJobEpoch:  {"SUBMIT_JOB_EPOCH", 4, toServer, true},
	TypeSubmitReduceJob: {"SUBMIT_REDUCE_JOB", 5, toServer, true},
	TypeSubmitReduceBG:  {"SUBMIT_REDUCE_JOB_BACKGROUND", 5, toServer, true},
	TypeGrabJobAll:      {"GRAB_JOB_ALL", 0, toServer, false},
	TypeJobAssignAll:    {"JOB_ASSIGN_ALL", 5, fromServer, true},
	TypeGetStatusUnique: {"GET_STATUS_UNIQUE", 1, toServer, false},
	TypeStatusResUnique: {"STATUS_RES_UNIQUE", 6, fromServer, false},
}

// Known reports whether t is a type of the protocol.
func (t Type) Known() bool { return t <= maxType && specs[t].name != "" }

// String returns the protocol's name, for example "CAN_DO".
func (t Type) String() string {
	if t.Known() {
		return specs[t].name
	}
	return "TYPE_" + strconv.FormatUint(uint64(t), 10)
}

// NumArgs returns the number of arguments, including the data of types that carry any.
func (t Type) NumArgs() int {
	if t.Known() {
		return specs[t].args
	}
	return 0
}

// SentBy reports whether a packet of this type may be sent in direction d.
func (t Type) SentBy(d Direction) bool {
	return t.Known() && d <= Response && specs[t].dirs&(1<<uint8(d)) != 0
}

// IsSubmit reports whether t submits a job.
func (t Type) IsSubmit() bool {
	switch t {
	case TypeSubmitJob, TypeSubmitJobBG, TypeSubmitJobHigh, TypeSubmitJobHighBG, TypeSubmitJobLow, TypeSubmitJobLowBG,
		TypeSubmitJobSched, TypeSubmitJobEpoch, TypeSubmitReduceJob, TypeSubmitReduceBG:
		return true
	}
	return false
}

// IsBackground reports whether t submits a job whose result nobody waits for.
func (t Type) IsBackground() bool {
	switch t {
	case TypeSubmitJobBG, TypeSubmitJobHighBG, TypeSubmitJobLowBG, TypeSubmitJobSched, TypeSubmitJobEpoch,
		TypeSubmitReduceBG:
		return true
	}
	return false
}

// IsFinal reports whether t ends a job. For WORK_EXCEPTION this is gearmand's rule; Perl's server
// waits for a WORK_FAIL.
func (t Type) IsFinal() bool {
	return t == TypeWorkComplete || t == TypeWorkFail || t == TypeWorkException
}

// Direction distinguishes requests (to the job server) from responses (from the job server).
type Direction uint8

// The two directions; each has its own magic.
const (
	Request  Direction = iota // \0REQ
	Response                  // \0RES
)

// String returns the magic without its NUL.
func (d Direction) String() string {
	switch d {
	case Request:
		return "REQ"
	case Response:
		return "RES"
	}
	return "DIRECTION_" + strconv.Itoa(int(d))
}
