"""Snapshot -> InfluxDB. Imports `prometheus` for the families of metrics."""
