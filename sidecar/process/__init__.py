"""The process: its log, its own metrics, supervised tasks, clocks, the loop. Imports `config` and `redis`."""
