// Package gearman holds what the client, the worker and the admin connection of this module share,
// and what is of use to those who build something of their own: addresses of job servers and what
// they resolve to, connecting with TLS, and back-off.
//
// To submit jobs see package client, to run them package worker, to look into a job server package
// admin, and to test against one package gearmantest.
//
// It starts no goroutines of its own.
package gearman
