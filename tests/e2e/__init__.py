"""End to end: real processes, real Redis, real clients; what a user of the daemon would see."""
