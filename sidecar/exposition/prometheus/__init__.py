"""Snapshot -> the expositions of Prometheus: two of text, one of protobuf. Imports no other package of `exposition`."""
