"""What events add up to. Every part is mergeable, so counts of batches, fleets and restarts can be added. Imports
`events`."""
