"""Who sends a message in fragments, and what waits for its end: no other message may begin between (RFC 6455 §5.4).

A connection has one only while a stream is being sent, and until all who waited have been told.
"""

from collections import deque

from greenws.errors import StateError

from greenws.net.greenlets cimport current_greenlet, run_greenlet
from greenws.net.reactor cimport Reactor


cdef class Turn:
    """One stream's time. ``owner`` is None when it is over."""

    def __init__(self, Reactor reactor):
        self.reactor = reactor
        self.owner = current_greenlet()
        self.waiting = deque()  # greenlets that want to send, first come first served
        self.behind = deque()  # frames of broadcasts, as ``Sender.offer`` got them

    cdef bint wait(self) except -1:
        """Blocks until nobody sends, or the connection ends. Returns whether it had to."""
        cdef object me = current_greenlet()
        cdef bint waited = False
        while self.owner is not None and not (waited and self.has_ended):
            if self.owner is me:
                raise StateError("the source of a stream cannot send on the connection that the stream goes to")
            if me is self.reactor.hub:
                raise StateError("send would have to wait for the end of a stream, which the hub cannot do; call it in a greenlet")
            waited = True
            self.waiting.append(me)
            try:
                self.reactor.wait(me)
            finally:
                if me in self.waiting:
                    self.waiting.remove(me)
        return waited

    cdef bint wake(self, bint everybody) except -1:
        """In the hub: lets those who wait go on if it is over, or if the connection is. Returns whether it is needed no more."""
        self.has_ended = self.has_ended or everybody
        while self.waiting and (self.owner is None or self.has_ended):
            run_greenlet(self.waiting.popleft())
        return self.owner is None and not self.waiting

    cdef bint hold(self, bytes frame, bytes payload, bint has_room, bint is_latest) except -1:
        """Keeps a frame for the end. Without room only the newest of those that may replace each other. Returns whether it did."""
        if is_latest and self.has_latest:
            self.size -= len(self.behind.pop()[0])
        elif not has_room and not is_latest:
            return False
        self.has_latest = is_latest and (self.has_latest or not has_room)
        self.behind.append((frame, payload))
        self.size += len(frame)
        return True
