"""The pure core: bytes and `now` in, values out.

No I/O, no clock, no logging, no await. Time is an argument, in Unix seconds unless a name says otherwise.
"""
