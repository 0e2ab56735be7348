"""What the daemon says, and how its tasks live: log lines, its own metrics, supervised tasks, clocks, the loop.
Imports `config` and `redis`."""
