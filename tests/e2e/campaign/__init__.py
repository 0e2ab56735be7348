"""The guarantees of docs/guarantees.md put to the test: real processes, killed, paused, cut off and flooded.

Each test is there three times: bounded in `make test`, larger in `make campaign` (and .ci/run), long in
`make test-long`. Each tells its figure at the end of the run.
"""
