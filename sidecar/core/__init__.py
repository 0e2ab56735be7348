"""The pure core: bytes and `now` in, values out.

No I/O, no clock, no logging, no await. Time is an argument, in Unix seconds unless a name says otherwise. It imports
only `errors` of the package; of its own packages, `commit` imports all others, and `events` none."""
