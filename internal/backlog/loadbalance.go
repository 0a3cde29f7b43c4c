package backlog

type loadBalance struct{ found bool }
