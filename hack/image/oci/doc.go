// Package oci packs files into a container image and writes it as an OCI archive, with no registry,
// no Docker daemon and no base image.
//
// The archive is a function of its input alone: entries are in the order given, owned by root and
// dated by Options.Created, so that two builds of one source give one digest. It owns no goroutine
// and never reads the network.
package oci
