"""The game day: flash sales that go well and that go wrong, each watched by a whole stack, and who was paged for it.

    scenarios   the table of them; a scenario says what is done when, and which pages are right
    actions     what a step can do to a shop or a stack
    shop, truth a shop of four backend processes, pure, and what it published; what the sidecar should have counted
    publisher   its events -> Redis
    stack       monitoring.native on free ports, with receivers that lead to `webhook`
    samples     what an operator could have seen, by the second; `signs` finds the first one
    lane        one scenario, played
    judge       what came, against what was right; pure
    table       what is printed; engine: many lanes side by side

`python -m tests.gameday` is the command, `make gameday` its usual name.
"""
