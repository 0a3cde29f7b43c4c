module github.com/gearman-operator/gearman-operator/gearman

go 1.25.0
