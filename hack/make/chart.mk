# The chart's checks; what the chart renders is tested in test/chart.
.PHONY: lint-chart
lint-chart: $(HELM) $(KUBECONFORM) ## helm lint; what the chart renders against the schemas of Kubernetes 1.30 to 1.37
	@hack/lint-chart
