"""The tests mirror the package: tests/core/counts/test_tally.py tests sidecar/core/counts/tally.py."""
