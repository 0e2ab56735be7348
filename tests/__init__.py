"""The tests mirror the package: tests/core/test_x.py tests sidecar/core/x.py."""
