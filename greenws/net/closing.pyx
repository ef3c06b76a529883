"""The closing handshake (RFC 6455 §7), from either side, and the one way out.

The first Close frame in either direction says how a connection ended. ``settle`` takes the handshake as far as it can go at the
moment; it is called whenever something has changed: a Close came or went, a handler is done, the queue is empty.
"""

from gevent import killall

from greenws.net.wheel import TICK
from greenws.protocol.frames import close_payload

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE

from greenws.net.greenlets cimport current_greenlet
from greenws.net.inflow cimport Inflow
from greenws.net.outbox cimport Outbox
from greenws.net.reactor cimport WRITE
from greenws.net.sender cimport CLOSED, CLOSING, CONNECTING, OPEN


cdef class Closing(Inflow):
    """See ``greenws.net.connection.Connection``, which is the whole of it."""

    def close(self, code=1000, reason=""):
        """Starts the closing handshake (RFC 6455 §7.1.2). Does not block; ``wait_closed`` does.

        What is queued leaves first. Messages that have not been handled are dropped. The descriptor is released when the peer has
        answered, at the latest after ``close_timeout``. Closing again does nothing. Safe from other threads.

        Raises:
            ValueError: the code may not be sent, or the reason is longer than 123 bytes.
        """
        payload = close_payload(code, reason)
        reason = str.__str__(reason)  # Cython: of a subclass, such as Markup, it would be a TypeError
        if not self.reactor.is_here():
            return self._from_thread(self.close, code, reason)
        self.before_io()
        if not self.close_sent and self.state != CLOSED:
            self.ended_here = not self.code
            self.result(code, reason)
            self.first = self.rest = None
            self.waiting_size = 0
            if self.close_received:
                self._answer_close()
            else:
                self.send_close(payload)
            self.settle()

    cdef int result(self, int code, str reason) except -1:
        """The first Close frame in either direction says how the connection ended."""
        if not self.code:
            self.code = code
            self.reason = reason
        return 0

    cdef int send_close(self, bytes payload) except -1:
        if self.outbox is not None:
            self.outbox.latest = self.outbox.pong = None
        self.write_frame(0x88, PyBytes_AS_STRING(payload), PyBytes_GET_SIZE(payload))
        self.close_sent = True
        if self.state != CONNECTING:
            self.begin_closing()
        self.reactor.defer(self)
        return 0

    cdef int begin_closing(self) except -1:
        if self.state == OPEN:
            self.state = CLOSING
        self.deadline = self.reactor.wheel.tick + self.service.close_ticks
        self.reactor.wheel.schedule(self, self.service.close_ticks * TICK)
        return 0

    cdef int peer_closed(self, int code, str reason) except -1:
        self.close_received = True
        self.result(code, reason)
        if not self.close_sent:
            self.begin_closing()
        return 0

    cdef int fail(self, int code, str reason) except -1:
        """Fails the connection (RFC 6455 §7.1.7): nothing further that the peer sends is looked at, and a Close says why."""
        if self.close_sent or self.state == CONNECTING:
            return self.finish()
        self.result(code, reason)
        self.failed = True
        if not self.close_received:
            self.begin_closing()
        return self.settle()

    cdef int settle(self) except -1:
        """Takes the closing handshake as far as it can go now."""
        if self.state != CLOSING or self.fd < 0:
            return 0
        if not self.close_sent:
            if self.first is not None or (self.busy and self.receiver is None):
                return 0  # what came before the Close, or before what was wrong, is answered before it
            self._answer_close()
        if self.close_sent and not self.held and self.outbox is not None and self.interest & WRITE == 0:
            self.flush()
        elif self.close_sent and self.outbox is None:
            self._last_byte_sent()
        return 0

    cdef int _answer_close(self) except -1:
        if not self.close_received:
            return self.send_close(close_payload(self.code, self.reason))
        return self.send_close(b"" if self.code == 1005 else self.code.to_bytes(2, "big"))

    cdef int _last_byte_sent(self) except -1:
        # RFC 6455 §7.1.1: the server closes first. After a failure it leaves the peer time to read why: closing a descriptor
        # with unread bytes resets the connection, and the Close would be lost.
        if self.failed:
            self.shut()
        elif self.close_received and self.service.is_server:
            self.finish()
        return 0

    cdef int flushed(self) except -1:
        cdef Outbox outbox = self.outbox
        cdef bytes pong
        if outbox is not None and outbox.size() <= self.service.high_water // 2:
            outbox.over_since = 0
            if outbox.pong is not None:
                pong = outbox.pong
                outbox.pong = None
                self.write_frame(0x8A, PyBytes_AS_STRING(pong), PyBytes_GET_SIZE(pong))
            if outbox.latest is not None:
                self.push_latest()
            if outbox.writers:
                self.reactor.defer(self)
        if self.outbox is None and self.close_sent and self.state == CLOSING:
            self._last_byte_sent()
        return 0

    cdef int ended(self) except -1:
        return self.finish()

    cdef int finish(self) except -1:
        """Releases everything, once, and lets all who wait know."""
        if self.state == CLOSED:
            return 0
        self.result(1006, "")
        if self.state != CONNECTING:
            self.service.counts.note_close(self.code)
        self.state = CLOSED
        self.drop()
        self.reactor.wheel.cancel(self)
        self.service.registry.discard(self)
        self.decoder = None
        self.deflate = None
        self.backlog = None
        self.tls = None
        self.opener = None
        self.paused = False
        if self.outbox is not None and not self.outbox.writers:
            self.outbox = None
        if self.extras is not None:
            me = current_greenlet()
            killall([g for g in self.extras.greenlets if g is not me], block=False)
        self.reactor.defer(self)
        return 0
