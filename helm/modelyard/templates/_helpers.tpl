{{/* Labels that select: (list $ "component") */}}
{{- define "modelyard.selector" -}}
{{- $ := index . 0 -}}
app.kubernetes.io/name: {{ $.Chart.Name }}
app.kubernetes.io/instance: {{ quote $.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/* The same as a LabelSelector. */}}
{{- define "modelyard.select" -}}
matchLabels: {{- include "modelyard.selector" . | nindent 2 }}
{{- end }}

{{- define "modelyard.labels" -}}
{{- $ := index . 0 -}}
{{ include "modelyard.selector" . }}
app.kubernetes.io/part-of: modelyard
app.kubernetes.io/version: {{ $.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $.Release.Service }}
helm.sh/chart: {{ $.Chart.Name }}-{{ $.Chart.Version }}
{{- end }}

{{/* Name, namespace and labels of an object: (list $ "component" "name" "namespace"); the last two have defaults. */}}
{{- define "modelyard.metadata" -}}
{{- $ := index . 0 -}}
{{- $component := index . 1 -}}
name: {{ if gt (len .) 2 }}{{ index . 2 }}{{ else }}{{ $.Release.Name }}-{{ $component }}{{ end }}
namespace: {{ if gt (len .) 3 }}{{ quote (index . 3) }}{{ else }}{{ quote $.Release.Namespace }}{{ end }}
labels: {{- include "modelyard.labels" (list $ $component) | nindent 2 }}
{{- end }}

{{/* Reference of an image: (list $ image) */}}
{{- define "modelyard.image" -}}
{{- $image := index . 1 -}}
{{ $image.repository }}:{{ $image.tag | default (index . 0).Chart.AppVersion }}
{{- with $image.digest }}@{{ . }}{{ end }}
{{- end }}

{{- define "modelyard.registry" -}}
{{- if contains "/" .Values.image.repository }}{{ dir .Values.image.repository }}{{ end }}
{{- end }}

{{/* Who a pod is and where it may run: (list $ uid [the ServiceAccount whose token it needs]) */}}
{{- define "modelyard.pod" -}}
{{- $ := index . 0 -}}
{{- $withToken := gt (len .) 2 -}}
serviceAccountName: {{ if $withToken }}{{ index . 2 }}{{ else }}{{ $.Release.Name }}-platform{{ end }}
automountServiceAccountToken: {{ $withToken }}
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: {{ index . 1 }}
  runAsGroup: {{ index . 1 }}
  fsGroup: {{ index . 1 }}
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- with $.Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $.Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Image and rights of a container: (list $ image) */}}
{{- define "modelyard.container" -}}
image: {{ include "modelyard.image" . | quote }}
imagePullPolicy: {{ (index . 1).pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}

{{- define "modelyard.secret.database" }}{{ .Values.postgresql.existingSecret | default (printf "%s-database" .Release.Name) }}{{ end }}
{{- define "modelyard.secret.login" }}{{ .Values.login.existingSecret | default (printf "%s-login" .Release.Name) }}{{ end }}
{{- define "modelyard.secret.keys" }}{{ .Values.keys.existingSecret | default (printf "%s-keys" .Release.Name) }}{{ end }}
{{- define "modelyard.secret.s3" }}{{ .Values.s3.existingSecret | default (printf "%s-s3" .Release.Name) }}{{ end }}
{{/* Logins to the database that may do one thing, each in a Secret with its URL; with an external PostgreSQL those that you name. */}}
{{- define "modelyard.logins" -}}
{{- $own := .Values.postgresql.enabled }}
{{- $external := dict "endpoint" .Values.predictionLog.existingSecret "stream" .Values.databaseLogins.stream "ingestion" .Values.databaseLogins.ingestion }}
{{- $variables := dict "endpoint" "MODELYARD_PREDICTIONS_URL" "stream" "MODELYARD_STREAM_URL" "ingestion" "MODELYARD_INGESTION_URL" }}
{{- range $login, $existing := $external }}
{{- if or $own $existing }}
{{ $login }}:
  secret: {{ $existing | default (printf "%s-%s-database" $.Release.Name $login) | quote }}
  made: {{ not $existing }}
  variable: {{ get $variables $login }}
  # Where pods find the copy.
  namespace: {{ ternary $.Values.pipelines.namespace $.Values.inference.namespace (eq $login "ingestion") | quote }}
{{- end }}
{{- end }}
{{- end }}

{{- define "modelyard.s3.endpoint" -}}
{{- if .Values.s3.enabled }}http://{{ .Release.Name }}-s3.{{ .Release.Namespace }}.svc:7070
{{- else }}{{ .Values.s3.endpoint }}{{ end }}
{{- end }}

{{/* An environment variable from a Secret: (list "NAME" "secret" "key") */}}
{{- define "modelyard.fromSecret" -}}
- name: {{ index . 0 }}
  valueFrom: {secretKeyRef: {name: {{ quote (index . 1) }}, key: {{ quote (index . 2) }}}}
{{- end }}

{{/* What every process of the project's image is told. */}}
{{- define "modelyard.env" -}}
- {name: MODELYARD_HOME, value: /home/modelyard}
- {name: MODELYARD_PLATFORM_HOST, value: 0.0.0.0}
- {name: MODELYARD_DASHBOARD_PORT, value: "8237"}
- {name: MODELYARD_MLFLOW_PORT, value: "5000"}
- {name: MODELYARD_ARTIFACTS, value: "s3://{{ .Values.s3.bucket }}"}
- {name: AWS_REGION, value: {{ .Values.s3.region | quote }}}
{{- with include "modelyard.s3.endpoint" . }}
- {name: AWS_ENDPOINT_URL_S3, value: {{ . | quote }}}
{{- end }}
{{- if .Values.postgresql.caSecret }}
- {name: PGSSLMODE, value: verify-full}
- {name: PGSSLROOTCERT, value: /etc/modelyard/postgresql-ca/ca.crt}
{{- end }}
{{ include "modelyard.fromSecret" (list "MODELYARD_DATABASE_URL" (include "modelyard.secret.database" .) (ternary .Values.postgresql.key "url" (ne .Values.postgresql.existingSecret ""))) }}
{{- range include "modelyard.logins" . | fromYaml }}
{{ include "modelyard.fromSecret" (list .variable .secret "url") }}
{{- end }}
{{ include "modelyard.fromSecret" (list "MODELYARD_PASSWORD" (include "modelyard.secret.login" .) "password") }}
{{ include "modelyard.fromSecret" (list "MODELYARD_ENCRYPTION_KEY" (include "modelyard.secret.keys" .) "encryption-key") }}
{{ include "modelyard.fromSecret" (list "MODELYARD_SIGNING_KEY" (include "modelyard.secret.keys" .) "signing-key") }}
{{ include "modelyard.fromSecret" (list "AWS_ACCESS_KEY_ID" (include "modelyard.secret.s3" .) "access-key") }}
{{ include "modelyard.fromSecret" (list "AWS_SECRET_ACCESS_KEY" (include "modelyard.secret.s3" .) "secret-key") }}
{{- end }}

{{/* Folders that every process of the project's image may write to. */}}
{{- define "modelyard.mounts" -}}
- {name: tmp, mountPath: /tmp}
- {name: home, mountPath: /home/modelyard}
{{- if .Values.postgresql.caSecret }}
- {name: postgresql-ca, mountPath: /etc/modelyard/postgresql-ca, readOnly: true}
{{- end }}
{{- end }}

{{- define "modelyard.volumes" -}}
- {name: tmp, emptyDir: {}}
- {name: home, emptyDir: {}}
{{- with .Values.postgresql.caSecret }}
- {name: postgresql-ca, secret: {secretName: {{ quote . }}, items: [{key: ca.crt, path: ca.crt}]}}
{{- end }}
{{- end }}
