// Package gearmanctl is the command line of gearmanctl: pools on this machine (up, demo, ui), a job
// server for development (serve), and the commands about job servers of internal/cli.
//
// The command "worker" is what up starts for each process of a pool; it isn't shown in the help.
package gearmanctl
