"""Which counts are safe: pending, in flight and committed ones, and their owner. Imports all of the core."""
