"""Mappings: what other systems publish -> events. A definition is compiled once, when the configuration is loaded.

It knows events, and nothing of counting: the Aggregator gets its decoder for each source that has a mapping.
"""
