"""The HTTP server. Imports `access`, `prometheus` and the modules of `exposition` itself."""
