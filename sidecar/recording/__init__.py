"""Recordings on disk: segments of gzip members, written by a thread and read in pieces."""
