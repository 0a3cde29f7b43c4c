package resolve

import (
	"bufio"
	"net/netip"
	"os"
	"strings"
)

// Name returns the name to look up for a host of a pool in namespace. A name without a dot is
// a Service in the pool's namespace, a name that ends in .svc is one of the cluster, and any other
// name is absolute: the search list of the operator's own pod has no say in it, so no namespace's
// Services can take the place of another name. Without a cluster domain (outside a cluster) the
// first two are left to the system's resolver.
func Name(host, namespace, clusterDomain string) string {
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

// Cluster returns the cluster's DNS domain, and the namespace of the calling pod, from resolv.conf
// at path: kubelet writes the search list NAMESPACE.svc.DOMAIN svc.DOMAIN DOMAIN. Both are empty
// outside a cluster.
func Cluster(path string) (domain, namespace string) {
	file, err := os.Open(path)
	if err != nil {
		return "", ""
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) == 0 || fields[0] != "search" {
			continue
		}
		domain, namespace = "", "" // the last list counts
		for _, f := range fields[1:] {
			f = strings.TrimSuffix(f, ".")
			if d, ok := strings.CutPrefix(f, "svc."); ok && domain == "" {
				domain = d
			} else if ns, d, ok := strings.Cut(f, ".svc."); ok && d != "" && namespace == "" {
				namespace = ns
			}
		}
	}
	return domain, namespace
}
