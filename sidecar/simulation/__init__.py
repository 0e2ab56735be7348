"""A made-up flash sale for demonstrations and rehearsals. Pure: a seed and a start time in, events out."""

from sidecar.simulation.sale import SimulatedSale

__all__ = ["SimulatedSale"]
