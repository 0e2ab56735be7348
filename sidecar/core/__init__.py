"""The pure core: bytes and `now` in, values out.

No I/O, no clock, no logging, no await. Time is an argument, in Unix seconds unless a name says otherwise. It imports
`errors` and nothing else of the package; inside, `commit` knows all others and `events` knows none."""
