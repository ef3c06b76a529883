"""Control frames of a connection: pings answered and asked, closes noticed, floods of them ended (RFC 6455 §5.5)."""

import time

from gevent import Timeout

from greenws.errors import OperationTimeout, ProtocolError, StateError
from greenws.protocol.events import Ping, Pong

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE

from greenws.net.greenlets cimport current_greenlet, run_greenlet
from greenws.net.outflow cimport Outflow
from greenws.net.reactor cimport WRITE
from greenws.net.sender cimport CONNECTING

cdef enum:
    PONGS = 16384  # queued bytes beyond which a peer that does not read gets only its newest pong: 48 KiB while they grow


cdef class Control(Outflow):
    """See ``greenws.net.connection.Connection``, which is the whole of it."""

    cdef int fail(self, int code, str reason) except -1:
        return 0

    cdef int peer_closed(self, int code, str reason) except -1:
        return 0

    cdef object extra(self):
        return self.extras

    cdef int answered(self) except -1:
        return 0

    cdef int control(self, object event) except -1:
        """In the hub: the peer sent a control frame, or what cannot be a frame."""
        cdef bytes payload
        cdef unsigned int second = int(time.monotonic())
        if isinstance(event, ProtocolError):
            if event.limit is not None:
                self.hit(event.limit)
            return self.fail(event.close_code, event.reason)
        if second != self.window:
            self.window = second
            self.control_count = 0
        self.control_count += 1
        if self.control_count > self.service.control_rate:
            self.hit("max_control_rate")
            return self.fail(1008, "too many control frames")
        if isinstance(event, Ping):
            if not self.close_sent:
                payload = event.payload
                if self.outbox is not None and self.outbox.size() > PONGS and self.interest & WRITE == 0:
                    self.flush()
                if self.outbox is not None and self.outbox.size() > PONGS:
                    self.outbox.pong = payload  # RFC 6455 §5.5.3: to answer the newest is enough
                else:
                    self.corked = True  # those that came together are answered together, by ``dispatch``
                    self.write_frame(0x8A, PyBytes_AS_STRING(payload), PyBytes_GET_SIZE(payload))
        elif isinstance(event, Pong):
            self._pong(event.payload)
        else:
            self.peer_closed(event.code, event.reason)
        return 0

    def ping(self, timeout=None):
        """Asks the peer for a sign of life and returns the round trip in seconds. Blocks the calling greenlet.

        Args:
            timeout: seconds to wait for the answer; ``ping_timeout`` when None.

        Raises:
            ConnectionClosed: the connection has ended.
            OperationTimeout: no answer in time.
        """
        if self.state == CONNECTING:
            self.before_io()
        self.check_open()
        if self.state == CONNECTING and self.service.on_message is not None:
            raise StateError("ping waits for an answer, and on_open runs before the connection opens")
        payload = self._next_ping()
        entry = [current_greenlet(), time.monotonic(), None]
        pings = self.extra().pings
        pings[payload] = entry
        timer = Timeout.start_new(self.service.config.ping_timeout if timeout is None else timeout)
        try:
            self.write_frame(0x89, PyBytes_AS_STRING(payload), PyBytes_GET_SIZE(payload))
            while entry[2] is None:
                self.check_open()
                self.reactor.wait(entry[0])
        except Timeout as error:
            if error is not timer:
                raise
            raise OperationTimeout("no pong in time") from None
        finally:
            timer.close()
            pings.pop(payload, None)
        return entry[2]

    cdef bytes _next_ping(self):
        self.ping_number += 1
        self.service.counts.pings += 1
        return self.ping_number.to_bytes(4, "big")

    cdef int start_ping(self) except -1:
        """Sends a ping of the heartbeat; its answer gives ``latency``."""
        cdef bytes payload = self._next_ping()
        self.ping_time = time.monotonic()
        return self.write_frame(0x89, PyBytes_AS_STRING(payload), PyBytes_GET_SIZE(payload))

    cdef int _pong(self, bytes payload) except -1:
        now = time.monotonic()
        if self.ping_time and payload == self.ping_number.to_bytes(4, "big"):
            self.latency = now - self.ping_time
            self.service.counts.latency.add(self.latency)
            self.ping_time = 0
            self.answered()
        entry = self.extras.pings.get(payload) if self.extras is not None else None
        if entry is not None and entry[2] is None:
            self.latency = entry[2] = now - entry[1]
            self.service.counts.latency.add(self.latency)
            run_greenlet(entry[0])
        return 0
