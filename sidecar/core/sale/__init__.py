"""Whether a sale runs: what was announced, or what its orders show. Imports `checkpoint` and `counts`."""
