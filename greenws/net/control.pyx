"""Control frames of a connection: pings answered and asked, closes noticed, floods of them ended (RFC 6455 §5.5)."""

from gevent import Timeout

from greenws.errors import OperationTimeout, ProtocolError, StateError

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memcpy

from greenws.net.counts cimport nanoseconds
from greenws.net.greenlets cimport current_greenlet, run_greenlet
from greenws.net.outflow cimport Outflow
from greenws.net.reactor cimport WRITE
from greenws.net.sender cimport CONNECTING
from greenws.protocol.events cimport Ping, Pong

cdef extern from "arpa/inet.h":
    unsigned int htonl(unsigned int number) nogil
    unsigned int ntohl(unsigned int number) nogil

cdef enum:
    PONGS = 8192  # queued bytes beyond which a peer that does not read gets only its newest pong


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
        cdef unsigned int second = <unsigned int> (nanoseconds() // 1000000000)
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
                payload = (<Ping> event).payload
                if self.outbox is not None and self.outbox.size() > PONGS and self.interest & WRITE == 0:
                    self.flush()
                if self.outbox is not None and self.outbox.size() > PONGS:
                    self.outbox.pong = payload  # RFC 6455 §5.5.3: to answer the newest is enough
                else:
                    self.corked = True  # those that came together are answered together, by ``dispatch``
                    self.write_frame(0x8A, PyBytes_AS_STRING(payload), PyBytes_GET_SIZE(payload))
        elif isinstance(event, Pong):
            self._pong((<Pong> event).payload)
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
        entry = [current_greenlet(), nanoseconds(), None]
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
        cdef unsigned int number
        self.ping_number += 1
        self.service.counts.pings += 1
        number = htonl(self.ping_number)
        return PyBytes_FromStringAndSize(<char*> &number, sizeof(number))

    cdef int start_ping(self) except -1:
        """Sends a ping of the heartbeat; its answer gives ``latency``."""
        cdef bytes payload = self._next_ping()
        self.ping_time = nanoseconds()
        return self.write_frame(0x89, PyBytes_AS_STRING(payload), PyBytes_GET_SIZE(payload))

    cdef int _pong(self, bytes payload) except -1:
        cdef long long now = nanoseconds()
        cdef unsigned int number
        if self.ping_time and PyBytes_GET_SIZE(payload) == sizeof(number):
            memcpy(&number, PyBytes_AS_STRING(payload), sizeof(number))
            if ntohl(number) == self.ping_number:
                self._took(now - self.ping_time)
                self.ping_time = 0
                self.answered()
        entry = self.extras.pings.get(payload) if self.extras is not None else None
        if entry is not None and entry[2] is None:
            entry[2] = self._took(now - <long long> entry[1])
            run_greenlet(entry[0])
        return 0

    cdef double _took(self, long long nanoseconds) except -1:
        """Notes the time of a round trip, and returns it in seconds."""
        cdef double seconds = nanoseconds / 1e9
        self.latency = seconds
        self.service.counts.latency.note(nanoseconds)
        return seconds
