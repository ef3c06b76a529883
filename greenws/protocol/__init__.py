"""RFC 6455 without I/O: bytes in, messages out.

The law of this layer: nothing here knows a socket, a clock, a greenlet, a log or Flask. What the peer sends is given to
it; what must be sent is returned by it. ``frames``, ``messages`` and ``mask`` are also compiled; the same sources run
uncompiled, and every test runs on both.
"""
