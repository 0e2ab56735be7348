"""The journal of a Ledger: what it was called with, in order, as rows of a recording; and the replay of these rows."""
