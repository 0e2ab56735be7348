"""A made-up flash sale for demos and rehearsals. Pure: a seed and a start time in, events out."""

from sidecar.simulation.sale import SimulatedSale

__all__ = ["SimulatedSale"]
