"""Which events are new: the sequence windows of producers, and what they tell about producers. Imports
`checkpoint` and `counts`."""
