"""Plain manifests, and the rules as the Prometheus Operator takes them."""
