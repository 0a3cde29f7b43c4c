# What is generated from the types in api/ and the RBAC markers in controllers/. Nothing of it is edited by hand.
CRD := config/crd/bases/gearman.dev_gearmanworkerpools.yaml
CHART := charts/gearman-operator

.PHONY: generate
generate: generate-api generate-rbac generate-chart ## deepcopy, CRD, apply configurations, API reference, RBAC; the chart's CRD and table of values

.PHONY: generate-api
generate-api: $(CONTROLLER_GEN)
	$(CONTROLLER_GEN) object paths=./api/v1alpha1
	$(CONTROLLER_GEN) crd paths=./api/v1alpha1 output:crd:artifacts:config=$(dir $(CRD))
	rm -rf api/v1alpha1/applyconfiguration
	$(CONTROLLER_GEN) applyconfiguration paths=./api/v1alpha1
	go run ./hack/apidocs $(CRD) >docs/api.md

.PHONY: generate-rbac
generate-rbac: $(CONTROLLER_GEN)
	$(CONTROLLER_GEN) rbac:roleName=gearman-operator paths=./controllers/... output:rbac:artifacts:config=config/rbac

.PHONY: generate-chart
generate-chart: generate-api
	mkdir -p $(CHART)/files
	cp $(CRD) $(CHART)/files/
	go run ./hack/chartdocs $(CHART)
