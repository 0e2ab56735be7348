"""What is shown: committed counts in, one frozen Snapshot out. Imports `counts`."""
