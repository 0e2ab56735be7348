"""Job queues as they lie in Redis, one file a system: which read-only commands, and what their replies mean.

Every command takes constant time, however many jobs wait. None writes, and none is a script of the library itself:
those also tidy up. docs/how-to/queues.md says for each system which number is a total, and which only what is kept.
"""
