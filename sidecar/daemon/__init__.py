"""The running daemon: sources -> ledger -> store -> snapshot -> readers. Imports everything but `cli`."""
