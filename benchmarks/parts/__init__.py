"""The parts of the benchmark, one file each: `run(say, full)` starts what it needs and returns a Report."""
