"""The process: its log, its own metrics, supervised tasks, clocks, the loop, tuning. Imports `config` and `redis`."""
