"""The HTTP server. Imports `access`, `page`, `prometheus` and the modules of `exposition` itself."""
