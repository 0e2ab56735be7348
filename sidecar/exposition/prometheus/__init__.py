"""Snapshot -> the two text expositions of Prometheus. Imports no other package of `exposition`."""
