"""The generation of a checkpoint: which clears it has had.

It is the id of the last clear, and behind it `NAME=ID` for each custom metric that was cleared alone since, all
separated by spaces.
"""


def clears(generation: str) -> set[str]:
    """Return the clears in a generation: that of everything, and those of single metrics."""
    return set(generation.split(" "))


def last_clear(generation: str) -> str:
    """Return the id of the last clear of everything."""
    return generation.partition(" ")[0]


def with_metric(generation: str, metric: str, id: str) -> str:
    """Return the generation after a clear of one metric."""
    others = [one for one in generation.split(" ") if not one.startswith(f"{metric}=")]
    return " ".join([*others, f"{metric}={id}"])


def metrics_cleared(new: set[str]) -> set[str]:
    """Return the names of the metrics that clears are of."""
    return {clear.partition("=")[0] for clear in new if "=" in clear}
