{{- define "tollgate.labels" -}}
app.kubernetes.io/name: tollgate
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
{{- end }}

{{- define "tollgate.selector" -}}
app.kubernetes.io/name: tollgate
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "tollgate.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{/* What every pod of tollgate has: no rights, no token, nothing to write but its state. */}}
{{- define "tollgate.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile:
    type: RuntimeDefault
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end }}

{{- define "tollgate.container" -}}
image: {{ include "tollgate.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- end }}

{{/* Settings: secrets from files, all others from the environment. */}}
{{- define "tollgate.env" -}}
- name: TOLLGATE_REDIS_FILE
  value: /run/tollgate/redis/{{ .root.Values.redis.key }}
- name: TOLLGATE_BILLING_FILE
  value: /run/tollgate/billing/{{ .root.Values.billing.key }}
- name: TOLLGATE_LOG_FORMAT
  value: json
{{- with .root.Values.otlpEndpoint }}
- name: TOLLGATE_OTLP_ENDPOINT
  value: {{ . | quote }}
{{- end }}
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: OTEL_RESOURCE_ATTRIBUTES
  value: service.instance.id=$(POD_NAME)
- name: TOLLGATE_INSECURE
  value: {{ .root.Values.insecure | quote }}
{{- if .root.Values.tls.secret }}
- name: TOLLGATE_TLS_CERT
  value: /run/tollgate/tls/tls.crt
- name: TOLLGATE_TLS_KEY
  value: /run/tollgate/tls/tls.key
{{- end }}
{{- if .root.Values.smtp.secret }}
- name: TOLLGATE_SMTP_URL
  valueFrom:
    secretKeyRef:
      name: {{ .root.Values.smtp.secret }}
      key: url
- name: TOLLGATE_SMTP_PASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ .root.Values.smtp.secret }}
      key: password
      optional: true
{{- end }}
{{- range $name, $value := merge (dict) .own .root.Values.settings }}
- name: TOLLGATE_{{ upper $name }}
  value: {{ toString $value | quote }}
{{- end }}
{{- end }}

{{- define "tollgate.mounts" -}}
- name: redis
  mountPath: /run/tollgate/redis
  readOnly: true
- name: billing
  mountPath: /run/tollgate/billing
  readOnly: true
- name: state
  mountPath: /var/lib/tollgate
{{- if .Values.tls.secret }}
- name: tls
  mountPath: /run/tollgate/tls
  readOnly: true
{{- end }}
{{- end }}

{{/* Only the owner and the group may read what is secret: tollgate refuses it otherwise. */}}
{{- define "tollgate.volumes" -}}
- name: redis
  secret:
    secretName: {{ .Values.redis.secret }}
    defaultMode: 0440
- name: billing
  secret:
    secretName: {{ .Values.billing.secret }}
    defaultMode: 0440
- name: state
  emptyDir: {}
{{- if .Values.tls.secret }}
- name: tls
  secret:
    secretName: {{ .Values.tls.secret }}
    defaultMode: 0440
{{- end }}
{{- end }}

{{- define "tollgate.placement" -}}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end }}
