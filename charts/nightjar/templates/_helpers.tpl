{{- define "nightjar.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Takes a dashboard's name. The ConfigMaps that our operator looks after have names of their own: they go, and with them the
     objects that they own, when the value does. */}}
{{- define "nightjar.dashboard" -}}
{{- $kind := ternary "grafana" "dashboard" (not (empty .root.Values.dashboards.grafanaInstanceSelector)) -}}
{{- printf "%s-%s-%s" (include "nightjar.fullname" .root) $kind .name -}}
{{- end -}}

{{- define "nightjar.dashboardKey" -}}
{{- printf "%s-%s-%s.json" .root.Release.Namespace (include "nightjar.fullname" .root) .name -}}
{{- end -}}

{{/* A Deployment's selector cannot change: these stay as they are. */}}
{{- define "nightjar.selectorLabels" -}}
app.kubernetes.io/name: nightjar-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "nightjar.labels" -}}
{{ include "nightjar.selectorLabels" . }}
app.kubernetes.io/component: operator
app.kubernetes.io/part-of: nightjar
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "nightjar.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "nightjar.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* Takes an image and the chart's appVersion. */}}
{{- define "nightjar.imageReference" -}}
{{- if .image.digest -}}
{{- printf "%s@%s" .image.repository .image.digest -}}
{{- else -}}
{{- printf "%s:%s" .image.repository (default .appVersion .image.tag) -}}
{{- end -}}
{{- end -}}

{{- define "nightjar.image" -}}
{{- include "nightjar.imageReference" (dict "image" .Values.image "appVersion" .Chart.AppVersion) -}}
{{- end -}}

{{/* The operator's image, field by field, where the exporter's says nothing else. Another
     repository, tag or digest makes the operator's digest meaningless. */}}
{{- define "nightjar.exporterImage" -}}
{{- $own := .Values.exporter.image -}}
{{- $repository := default .Values.image.repository $own.repository -}}
{{- $tag := default .Values.image.tag $own.tag -}}
{{- $digest := $own.digest -}}
{{- if not (or $own.repository $own.tag $own.digest) -}}
{{- $digest = .Values.image.digest -}}
{{- end -}}
{{- include "nightjar.imageReference" (dict "image" (dict "repository" $repository "tag" $tag "digest" $digest) "appVersion" .Chart.AppVersion) -}}
{{- end -}}

{{/* What the user wrote, with the operator's selector where an entry has none; or a spread over zones
     and nodes that never keeps a pod from running. */}}
{{- define "nightjar.topologySpread" -}}
{{- $selector := dict "labelSelector" (dict "matchLabels" (include "nightjar.selectorLabels" . | fromYaml)) -}}
{{- $entries := .Values.operator.topologySpreadConstraints -}}
{{- if and (not $entries) (gt (int .Values.operator.replicas) 1) -}}
{{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" -}}
{{- $entries = append $entries (dict "topologyKey" . "maxSkew" 1 "whenUnsatisfiable" "ScheduleAnyway") -}}
{{- end -}}
{{- end -}}
{{- range $entries }}
- {{ merge (deepCopy .) $selector | toYaml | nindent 2 | trim }}
{{- end -}}
{{- end -}}
