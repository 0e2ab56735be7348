"""Fuzzing: no byte sequence stops the daemon, and what it refuses is what an independent oracle refuses.

corpus/   seeds by kind; failed/ every input that ever failed: both are run as they are, and mutated
"""
