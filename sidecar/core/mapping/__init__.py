"""Mappings: payloads of other systems -> events. The daemon compiles each definition once, when it is built.

This package imports events, but nothing of counting: the Aggregator gets a decoder for each source with a mapping.
"""
