"""Build the Grafana dashboards: one module a dashboard; `make dashboards` writes them."""
