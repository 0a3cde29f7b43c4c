module github.com/gearman-operator/gearman-operator/hack/cluster/pause

go 1.26.0
