"""What `sidecar check` tries and reports. Imports `client` and `view`."""
