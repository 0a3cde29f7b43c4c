// Package crd holds the CustomResourceDefinition, for programs that read pools without an API
// server.
package crd

import _ "embed" // for YAML

// YAML is the CustomResourceDefinition of GearmanWorkerPool, as it is installed into a cluster.
//
//go:embed bases/gearman.dev_gearmanworkerpools.yaml
var YAML []byte
