"""Snapshot -> the two text expositions of Prometheus. Renders; imports nothing of its neighbours."""
