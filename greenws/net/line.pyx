"""Connections with messages have turns, one behind the other (docs/decisions/turns-are-handed-on.md).

A turn belongs to the greenlet that handles the connection's messages, from when it is switched to until it first waits. When it
waits for a connection, or for another job, it hands on to the next greenlet itself: one switch per turn. When it waits for
anything else, or ends, the hub is switched to as always, and hands on in its place.

Only the hub adds to the line, and it does not return to its loop before all have had their turn.
"""

import sys

from greenws.net.greenlets cimport switch_to

cdef enum:
    LENGTH = 16  # connections that wait for their turn while others are being read
    SIZE = 32768  # bytes of their messages: with more the first would be out of the processor's cache when its turn comes


cdef class TurnTaker(Item):
    """Something whose messages a greenlet handles."""

    cdef object begin_turn(self):
        """Returns the greenlet that waits for the messages, which the caller switches to; None when there is none."""
        return None

    cdef int start_turn(self) except -1:
        """In the hub, when no greenlet waits: finds or makes one and lets it run, if there are still messages."""
        return 0

    cdef int end_turn(self) except -1:
        """The greenlet waits or has ended. Must not switch."""
        return 0


cdef class Line:
    """Who waits for a turn.

    Args:
        hub: gevent's.
    """

    def __init__(self, hub):
        self.hub = hub
        self.waiting = []

    cdef int add(self, TurnTaker item, Py_ssize_t size) except -1:
        """In the hub: gives the item, with messages of so many bytes, a turn behind all others, in the next ``serve``."""
        self.waiting.append(item)
        self.size += size
        return 0

    cdef bint is_full(self) noexcept:
        """Whether those in line are to be served before others are read."""
        return self.size >= SIZE or len(self.waiting) >= LENGTH

    cdef int clear(self) except -1:
        """Forgets all, and whose turn it is."""
        self.waiting = []
        self.served = self.size = 0
        self.serving = None
        return 0

    cdef int serve(self) except -1:
        """In the hub: returns when all in line have had their turn."""
        while self.waiting:
            greenlet = self._hand_on()
            try:
                if greenlet is not None:
                    switch_to(greenlet)
                elif self.served < len(self.waiting):
                    self.serving = <TurnTaker> self.waiting[self.served]
                    self.served += 1
                    self.serving.start_turn()
                else:
                    self.waiting.clear()
                    self.served = self.size = 0
            except BaseException:  # what the greenlet ended by
                self.hub.handle_error(self.serving, *sys.exc_info())
        return 0

    cdef int park(self, object me) except -1:
        """In a greenlet, which is ``me``: lets others run until somebody switches back. Who is next in line is first."""
        greenlet = self._hand_on()
        if greenlet is not me:
            switch_to(self.hub if greenlet is None else greenlet)
        return 0

    cdef object _hand_on(self):
        """Ends the turn that is. Returns the greenlet that has the next; None when there is none, or only the hub can begin it."""
        cdef TurnTaker item = self.serving
        if item is not None:
            self.serving = None
            try:
                item.end_turn()
            except BaseException:  # nothing of it may be raised in the greenlet that happens to wait now
                self.hub.loop.run_callback(self.hub.handle_error, item, *sys.exc_info())
        if self.served == len(self.waiting):
            return None
        item = <TurnTaker> self.waiting[self.served]
        greenlet = item.begin_turn()
        if greenlet is not None:
            self.served += 1
            self.serving = item
        return greenlet
