{{/* The pod of a job on the databases: (list $ "component" ["python module", ...] resources [more env]) */}}
{{- define "modelyard.jobPod" -}}
{{- $ := index . 0 -}}
{{- $component := index . 1 -}}
metadata:
  labels: {{- include "modelyard.selector" (list $ $component) | nindent 4 }}
spec:
  {{- include "modelyard.pod" (list $ 10001) | nindent 2 }}
  restartPolicy: Never
  containers:
    - name: {{ $component }}
      {{- include "modelyard.container" (list $ $.Values.image) | nindent 6 }}
      command: {{ concat (list "python" "-m") (index . 2) | toJson }}
      env:
        {{- include "modelyard.env" $ | nindent 8 }}
        {{- toYaml (index . 4) | nindent 8 }}
      resources: {{- toYaml (index . 3) | nindent 8 }}
      volumeMounts: {{- include "modelyard.mounts" $ | nindent 8 }}
  volumes: {{- include "modelyard.volumes" $ | nindent 4 }}
{{- end }}

{{- define "modelyard.migration" -}}
{{- $more := list (dict "name" "MODELYARD_MAKE_BUCKET" "value" (toString (or .Values.s3.enabled .Values.s3.makeBucket))) -}}
backoffLimit: 5
template:
  {{- include "modelyard.jobPod" (list . "migrate" (list "stacks.platform.migrate") .Values.migration.resources $more) | nindent 2 }}
{{- end }}
