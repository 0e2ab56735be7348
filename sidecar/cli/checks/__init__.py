"""What `sidecar check` tries, and what it says. Imports `client` and `view`."""
