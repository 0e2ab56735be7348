"""The stack around the sidecar: what Prometheus, Alertmanager and Grafana read."""
