// Package gearman holds what the client, the worker and the admin connection of this module share,
// and what helps to build other Gearman programs: job server addresses and how they resolve,
// connecting with TLS, and back-off.
//
// To submit jobs see package client, to run them package worker, to inspect a job server package
// admin, and to test against one package gearmantest.
//
// The package starts no goroutines of its own.
package gearman
