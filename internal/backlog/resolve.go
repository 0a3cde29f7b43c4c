package backlog

import (
	"bufio"
	"net/netip"
	"os"
	"strings"
)

// LookupName returns the name to look up for a host of a pool in namespace. A name without a dot is
// a Service in the pool's namespace, a name that ends in .svc is one of the cluster, and any other
// name is absolute: the search list of the operator's own pod has no say in it, so no namespace's
// Services can take the place of another name. Without a cluster domain (outside a cluster) the
// first two are left to the system's resolver.
func LookupName(host, namespace, clusterDomain string) string {
	if _, err := netip.ParseAddr(host); err == nil || strings.HasSuffix(host, ".") {
		return host
	}
	ofCluster := strings.HasSuffix(host, ".svc")
	if !strings.Contains(host, ".") {
		if clusterDomain == "" {
			return host
		}
		host, ofCluster = host+"."+namespace+".svc", true
	}
	if !ofCluster {
		return host + "."
	}
	if clusterDomain == "" {
		return host
	}
	return host + "." + clusterDomain + "."
}

// ClusterDomain returns the cluster's DNS domain as resolv.conf at path tells it: kubelet writes a
// search list with svc.DOMAIN in it. It is empty if there is none.
func ClusterDomain(path string) string {
	file, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer file.Close()
	domain := ""
	for lines := bufio.NewScanner(file); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) == 0 || fields[0] != "search" {
			continue
		}
		domain = "" // the last list counts
		for _, f := range fields[1:] {
			if d, ok := strings.CutPrefix(strings.TrimSuffix(f, "."), "svc."); ok && domain == "" {
				domain = d
			}
		}
	}
	return domain
}
