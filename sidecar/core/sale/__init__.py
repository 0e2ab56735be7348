"""Whether a sale runs: planned, announced, or shown by its orders. Its phases, error budgets, thresholds.

Imports `checkpoint` and `counts`.
"""
