"""Random walks over features that meet, judged by an oracle that was written from the contract alone.

steps: what can happen, as data that shrinks; oracle, numbers: what must then be shown; harness: a whole Service in
memory, whose clock, Redis and sources are held in hand; compare: every rendering against the oracle.
"""
