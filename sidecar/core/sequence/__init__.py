"""Which events are new: sequence windows, and what they show about producers. Imports `checkpoint` and `counts`."""
