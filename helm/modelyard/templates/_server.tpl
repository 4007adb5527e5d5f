{{/* All of a server with pages: (dict "root" $ "name" "zenml" "module" … "port" … "externalUrlIn" [names of variables]) */}}
{{- define "modelyard.server" }}
{{- $ := .root }}
{{- $name := .name }}
{{- $port := .port }}
{{- $values := index $.Values $name }}
{{- $host := (urlParse $values.externalUrl).hostname }}
---
apiVersion: v1
kind: Service
metadata: {{- include "modelyard.metadata" (list $ $name) | nindent 2 }}
spec:
  selector: {{- include "modelyard.selector" (list $ $name) | nindent 4 }}
  ports: [{name: http, port: {{ .port }}, targetPort: http}]
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {{- include "modelyard.metadata" (list $ $name) | nindent 2 }}
spec:
  maxUnavailable: 1
  selector: {{- include "modelyard.select" (list $ $name) | nindent 4 }}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{- include "modelyard.metadata" (list $ $name) | nindent 2 }}
spec:
  {{- if not $values.autoscaling.enabled }}
  replicas: {{ $values.replicas }}
  {{- end }}
  strategy: {rollingUpdate: {maxUnavailable: 0, maxSurge: 1}}
  selector: {{- include "modelyard.select" (list $ $name) | nindent 4 }}
  template:
    metadata:
      labels: {{- include "modelyard.selector" (list $ $name) | nindent 8 }}
    spec:
      {{- include "modelyard.pod" (list $ 10001) | nindent 6 }}
      topologySpreadConstraints:
        {{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
        - topologyKey: {{ . }}
          maxSkew: 1
          whenUnsatisfiable: ScheduleAnyway
          labelSelector: {{- include "modelyard.select" (list $ $name) | nindent 12 }}
          matchLabelKeys: [pod-template-hash]
        {{- end }}
      containers:
        - name: {{ $name }}
          {{- include "modelyard.container" (list $ $.Values.image) | nindent 10 }}
          command: [python, -m, {{ .module }}]
          env:
            {{- include "modelyard.env" $ | nindent 12 }}
            {{- if $values.externalUrl }}
            {{- range .externalUrlIn }}
            - {name: {{ . }}, value: {{ $values.externalUrl | quote }}}
            {{- end }}
            {{- end }}
            {{- if and (eq $name "mlflow") $.Values.events.existingSecret }}
            {{- range $variable, $key := dict "MODELYARD_EVENTS" "urls" "MODELYARD_EVENTS_KEY" "key" }}
            {{- include "modelyard.fromSecret" (list $variable $.Values.events.existingSecret $key) | nindent 12 }}
            {{- end }}
            {{- end }}
            {{- if and (eq $name "mlflow") $.Values.events.kafkaSecret }}
            {{- include "modelyard.fromSecret" (list "MODELYARD_KAFKA" $.Values.events.kafkaSecret "address") | nindent 12 }}
            - {name: MODELYARD_KAFKA_CA, value: /etc/modelyard/kafka}
            {{- range $key := list "tls" "mechanism" "username" "password" }}
            - name: MODELYARD_KAFKA_{{ upper $key }}
              valueFrom: {secretKeyRef: {name: {{ quote $.Values.events.kafkaSecret }}, key: {{ $key }}, optional: true}}
            {{- end }}
            {{- end }}
          ports: [{name: http, containerPort: {{ .port }}}]
          # Often, so that it is ready as soon as it answers; long, as it waits for PostgreSQL and the migration.
          startupProbe: {httpGet: {path: /ready, port: http}, periodSeconds: 1, timeoutSeconds: 3, failureThreshold: 600}
          readinessProbe: {httpGet: {path: /ready, port: http}, periodSeconds: 5, timeoutSeconds: 5}
          livenessProbe: {httpGet: {path: /health, port: http}, periodSeconds: 10, timeoutSeconds: 10, failureThreshold: 6}
          # Until no Service sends it requests any more.
          lifecycle: {preStop: {sleep: {seconds: 5}}}
          resources: {{- toYaml $values.resources | nindent 12 }}
          volumeMounts:
            {{- include "modelyard.mounts" $ | nindent 12 }}
            {{- if and (eq $name "mlflow") $.Values.events.kafkaSecret }}
            - {name: kafka, mountPath: /etc/modelyard/kafka, readOnly: true}
            {{- end }}
      volumes:
        {{- include "modelyard.volumes" $ | nindent 8 }}
        {{- if and (eq $name "mlflow") $.Values.events.kafkaSecret }}
        - {name: kafka, secret: {secretName: {{ quote $.Values.events.kafkaSecret }}, optional: true, items: [{key: ca.crt, path: ca.crt}]}}
        {{- end }}
{{- with $values.autoscaling }}
{{- if .enabled }}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {{- include "modelyard.metadata" (list $ $name) | nindent 2 }}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: {{ $.Release.Name }}-{{ $name }}}
  minReplicas: {{ .minReplicas }}
  maxReplicas: {{ .maxReplicas }}
  metrics:
    - {type: Resource, resource: {name: cpu, target: {type: AverageValue, averageValue: {{ .cpu }}}}}
{{- end }}
{{- end }}
{{- with $values.ingress }}
{{- if .enabled }}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  {{- include "modelyard.metadata" (list $ $name) | nindent 2 }}
  {{- with .annotations }}
  annotations: {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  {{- with .className }}
  ingressClassName: {{ quote . }}
  {{- end }}
  {{- with .tlsSecret }}
  tls: [{hosts: [{{ $host }}], secretName: {{ quote . }}}]
  {{- end }}
  rules:
    - host: {{ $host }}
      http:
        paths:
          - {path: /, pathType: Prefix, backend: {service: {name: {{ $.Release.Name }}-{{ $name }}, port: {name: http}}}}
{{- end }}
{{- end }}
{{- with $values.httpRoute }}
{{- if .enabled }}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{- include "modelyard.metadata" (list $ $name) | nindent 2 }}
spec:
  parentRefs: {{- toYaml .gateways | nindent 4 }}
  hostnames: [{{ $host }}]
  rules:
    - backendRefs: [{name: {{ $.Release.Name }}-{{ $name }}, port: {{ $port }}}]
{{- end }}
{{- end }}
{{- end }}
