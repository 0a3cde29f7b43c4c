{{- define "gearman-operator.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "gearman-operator.fullname" -}}
{{- $name := include "gearman-operator.name" . }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "gearman-operator.selectorLabels" -}}
app.kubernetes.io/name: {{ include "gearman-operator.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* commonLabels may add labels, but not change what selectors rely on. */}}
{{- define "gearman-operator.labels" -}}
{{- $labels := dict
  "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-")
  "app.kubernetes.io/version" .Chart.AppVersion
  "app.kubernetes.io/managed-by" .Release.Service
  "app.kubernetes.io/part-of" "gearman-operator" }}
{{- mergeOverwrite $labels .Values.commonLabels (include "gearman-operator.selectorLabels" . | fromYaml) | toYaml }}
{{- end }}

{{- define "gearman-operator.managerLabels" -}}
{{ include "gearman-operator.selectorLabels" . }}
app.kubernetes.io/component: manager
{{- end }}

{{- define "gearman-operator.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}
{{- end }}

{{- define "gearman-operator.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- .Values.serviceAccount.name | default (include "gearman-operator.fullname" .) }}
{{- else }}
{{- .Values.serviceAccount.name | default "default" }}
{{- end }}
{{- end }}

{{/* What the operator may do in the namespaces that it serves; config/rbac/role.yaml, generated from the code, is the same. */}}
{{- define "gearman-operator.rules" -}}
- apiGroups: ["gearman.dev"]
  resources: ["gearmanworkerpools"]
  verbs: ["list", "watch"]
- apiGroups: ["gearman.dev"]
  resources: ["gearmanworkerpools/status"]
  verbs: ["patch"]
- apiGroups: ["gearman.dev"]
  resources: ["gearmanworkerpools/finalizers"] # owner references, where the API server guards them
  verbs: ["update"]
- apiGroups: ["apps"]
  resources: ["deployments"]
  verbs: ["list", "watch", "create", "patch"]
- apiGroups: ["apps"]
  resources: ["statefulsets"]
  verbs: ["list", "watch"]
- apiGroups: ["apps"]
  resources: ["deployments/scale", "statefulsets/scale"]
  verbs: ["patch"]
- apiGroups: [""]
  resources: ["pods"] # patch: the deletion cost
  verbs: ["list", "watch", "patch"]
{{- if .Values.rbac.readSecrets }}
- apiGroups: [""]
  resources: ["secrets"]
  verbs: ["get"]
{{- end }}
- apiGroups: ["events.k8s.io"]
  resources: ["events"]
  verbs: ["create", "patch"]
{{- end }}
