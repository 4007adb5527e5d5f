{{/* A Job that makes Secrets, with the rights to it, which end with it: root, name, when, secrets, rules by namespace. */}}
{{- define "modelyard.secretsHook" }}
{{- $ := .root }}
{{- $name := printf "%s-%s" $.Release.Name .name }}
{{- $component := .name }}
{{- $annotations := dict "helm.sh/hook" .when "helm.sh/hook-delete-policy" "before-hook-creation,hook-succeeded" }}
---
apiVersion: v1
kind: ServiceAccount
metadata:
  {{- include "modelyard.metadata" (list $ $component) | nindent 2 }}
  annotations: {{- set (deepCopy $annotations) "helm.sh/hook-weight" "-3" | toYaml | nindent 4 }}
automountServiceAccountToken: true
{{- with $.Values.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ quote . }}
  {{- end }}
{{- end }}
{{- range $namespace, $rules := .rules }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  {{- include "modelyard.metadata" (list $ $component $name $namespace) | nindent 2 }}
  annotations: {{- set (deepCopy $annotations) "helm.sh/hook-weight" "-2" | toYaml | nindent 4 }}
rules: {{- toYaml $rules | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  {{- include "modelyard.metadata" (list $ $component $name $namespace) | nindent 2 }}
  annotations: {{- set (deepCopy $annotations) "helm.sh/hook-weight" "-1" | toYaml | nindent 4 }}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: {{ $name }}}
subjects:
  - {kind: ServiceAccount, name: {{ $name }}, namespace: {{ quote $.Release.Namespace }}}
{{- end }}
---
apiVersion: batch/v1
kind: Job
metadata:
  {{- include "modelyard.metadata" (list $ $component) | nindent 2 }}
  annotations: {{- $annotations | toYaml | nindent 4 }}
spec:
  backoffLimit: 2
  template:
    metadata:
      labels: {{- include "modelyard.selector" (list $ $component) | nindent 8 }}
    spec:
      {{- include "modelyard.pod" (list $ 10001 $name) | nindent 6 }}
      restartPolicy: Never
      containers:
        - name: secrets
          {{- include "modelyard.container" (list $ $.Values.image) | nindent 10 }}
          command: [python, -m, stacks.platform.generate_secrets]
          env:
            # Which Secrets there are to be, and how their values are made; no value.
            - {name: MODELYARD_SECRETS, value: {{ toJson .secrets | quote }}}
          resources:
            requests: {cpu: 20m, memory: 48Mi}
            limits: {memory: 128Mi}
          volumeMounts: [{name: tmp, mountPath: /tmp}]
      volumes: [{name: tmp, emptyDir: {}}]
{{- end }}
