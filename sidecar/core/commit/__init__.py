"""Which counts are safe: what is pending, in flight and committed, and who owns it. Imports all of the core."""
