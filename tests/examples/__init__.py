"""The example backend, run as its README says."""
