"""The HTTP server: what each path answers. Imports `access`, `prometheus` and what lies beside the rooms."""
