// Package importer converts the configurations of other worker managers into pools:
// GearmanManager's INI or JSON, and supervisord's programs, including `gearman -w`. What a pool
// cannot express becomes a comment in the YAML, so that nothing is lost silently. It reads no
// cluster and starts no goroutines.
package importer
