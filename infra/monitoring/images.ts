/** The images of the monitoring, for Fargate and for the compose file alike: each an exact version, for ARM and x86. */
export const images = {
  pushgateway: 'quay.io/prometheus/pushgateway:v1.11.3',
  prometheus: 'quay.io/prometheus/prometheus:v3.13.0',
  alertmanager: 'quay.io/prometheus/alertmanager:v0.33.0',
  grafana: 'grafana/grafana:12.4.3',
} as const;
