{{- define "sluice.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{ .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" }}
{{- end -}}
{{- end -}}

{{- define "sluice.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "sluice.labels" -}}
{{ include "sluice.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "sluice.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{- define "sluice.claim" -}}
{{- if .Values.models.claim -}}
{{ .Values.models.claim }}
{{- else if .Values.models.create -}}
{{ include "sluice.name" . }}-models
{{- end -}}
{{- end -}}

{{- /* The file of sluice serve: the values', and what belongs to the pod. */ -}}
{{- define "sluice.config" -}}
{{- $own := dict "http" "0.0.0.0:8000" "grpc" "0.0.0.0:50051" "management" "127.0.0.1:8002" "state_dir" "/state" -}}
{{ toYaml (merge $own .Values.config) }}
{{- end -}}
