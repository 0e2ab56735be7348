"""The journal of a Ledger, and its replay."""
