// Package importer turns the configurations of other worker managers into pools: GearmanManager's
// INI or JSON, and supervisord's programs, `gearman -w` among them. What a pool cannot express
// becomes a comment of the YAML, so that nothing is lost silently. It reads no cluster and starts
// no goroutines.
package importer
