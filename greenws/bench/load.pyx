"""The load: many connections that do one kind of work, with next to nothing of Python for each message.

A server is measured well only by a client that costs less than it does. So a peer here is a ``Stream`` of ``greenws.net``, as our
connections are, without what those need for their handlers: no greenlet, no inbox, no decoder of its own. Its frames are made before
the run. What comes back is compared with what was sent, byte by byte.

Everything runs in the hub. ``greenws.bench.run`` says what is to be done and for how long.
"""

from collections import deque

from greenws.errors import ProtocolError

from cpython.bytearray cimport PyByteArray_AS_STRING
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.string cimport memcmp
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec

from greenws.bench.histogram cimport Histogram
from greenws.net.reactor cimport WRITE
from greenws.net.stream cimport Stream
from greenws.protocol.frames cimport FrameHeader, read_header

from greenws.protocol.frames import encode_frame

cdef enum:
    CONNECTING = 0  # up to the 101
    OPEN = 1
    ENDED = 2

cdef enum:
    IDLE = 0
    ECHO = 1
    RATE = 2
    FANOUT = 3
    PING = 4

KEY = 0x129A56E7  # masks all that is sent: a key of its own for each frame would cost us time and the server none
GOODBYE = encode_frame(8, b"\x03\xe8", key=KEY)  # 1000
WORK = {"idle": IDLE, "handshake": IDLE, "echo": ECHO, "rate": RATE, "fanout": FANOUT, "ping": PING}


cdef long long now() noexcept:
    cdef timespec time
    clock_gettime(CLOCK_MONOTONIC, &time)
    return time.tv_sec * 1_000_000_000 + time.tv_nsec


cdef class Load:
    """What the peers of a run share: the bytes they send, and the figures they come to.

    Args:
        request: the whole handshake.
        accept: the Sec-WebSocket-Accept that answers it.
        work: ``echo``, ``rate``, ``fanout``, ``ping``, or ``idle`` and ``handshake``, in which nothing is sent.
        payload: of each message, or of each ping.
        depth: how many messages leave in one write.
        binary: whether messages are binary.
        opened: called with each peer that is open, and with each that could not be opened.

    Attributes:
        open_count, failed, lost: peers that were opened, that could not be, and that ended too early.
        messages, wrong, pings: what came: messages, those that were not what was sent, and pings.
        openings, answers: how long each took, connecting included.
        refusal: why the last one failed.
        missing: answers that are still to come, in a fan-out and at a rate. At the last one of a fan-out ``complete`` is called.
        is_sending: whether an answer is followed by the next message.
    """

    cdef bytes request, accept, payload, batch
    cdef int work, depth
    cdef object opened
    cdef FrameHeader header
    cdef long long since
    cdef public object complete
    cdef public bint is_sending, is_counting
    cdef public long long missing
    cdef readonly long long open_count, failed, lost, messages, wrong, pings
    cdef readonly Histogram openings
    cdef readonly Histogram answers
    cdef readonly str refusal

    def __init__(self, bytes request, bytes accept, work, bytes payload, int depth=1, binary=False, opened=None):
        self.request = request
        self.accept = accept
        self.work = WORK[work]
        self.payload = payload
        self.depth = depth
        opcode = 9 if work == "ping" else 2 if binary else 1
        self.batch = encode_frame(opcode, payload, key=KEY) * depth
        self.opened = opened
        self.header = FrameHeader()
        self.openings = Histogram()
        self.answers = Histogram()
        self.refusal = ""

    cdef int arrived(self, Peer peer, bint differs) except -1:
        """A whole message has come, or the answer to a ping."""
        cdef long long at = now()
        if not self.is_counting:
            return 0
        self.messages += 1
        if differs and self.work != IDLE:
            self.wrong += 1
        if self.work == ECHO:
            peer.waiting -= 1
            if peer.waiting == 0:
                self.answers.record(at - peer.since)
                if self.is_sending:
                    peer.send()
        elif self.work == RATE or self.work == PING:
            if peer.due:
                self.missing -= 1
                self.answers.record(at - <long long> peer.due.popleft())
        elif self.work == FANOUT:
            self.answers.record(at - self.since)
            self.missing -= 1
            if self.missing == 0:
                self.complete()
        return 0

    def start_over(self):
        """Forgets the messages so far, and how long they took."""
        self.messages = 0
        self.answers = Histogram()

    def give_up(self):
        """Counts the messages that have not come as wrong."""
        self.wrong += self.missing


cdef class Peer(Stream):
    """One connection of a load. It ends by ``close`` or by the server; its descriptor is released then.

    Attributes:
        is_open: whether messages can be sent.
    """

    cdef Load load
    cdef int state, waiting
    cdef long long since
    cdef Py_ssize_t left, got
    cdef bint in_frame, fin, differs
    cdef bytes held
    cdef object due

    def __init__(self, Load load not None):
        self.load = load

    @property
    def is_open(self):
        return self.state == OPEN

    def start(self, int fd, tls=None):
        """Sends the handshake. From here on the peer owns the descriptor, on which connecting may be still under way."""
        self.since = now()
        self.take(fd, tls)
        self._send_bytes(self.load.request)

    cpdef send(self):
        """Sends the load's messages, all in one write."""
        self.since = now()
        self.waiting = self.load.depth
        self._send_bytes(self.load.batch)

    def send_due(self, long long due):
        """Sends them, and lets the answer's time count from ``due``, in nanoseconds: a server that is late cannot hide it."""
        if self.due is None:
            self.due = deque()
        self.due.append(due)
        self.load.missing += 1
        self._send_bytes(self.load.batch)

    def send_round(self):
        """Sends the message that is to reach everybody."""
        self.load.since = now()
        self._send_bytes(self.load.batch)

    def close(self):
        """Says goodbye, if there is somebody to hear it, and releases the descriptor at once."""
        if self.state == OPEN and self.outbox is None:
            self._send_bytes(GOODBYE)
        self.abort()

    def abort(self):
        """Releases the descriptor without a word."""
        self.state = ENDED
        self.drop()

    cdef int _send_bytes(self, bytes data) except -1:
        return self.write(<const unsigned char*> PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data), "", 0)

    cdef int resume(self) except -1:
        if self.broken:
            return self.ended()
        if self.outbox is not None and self.interest & WRITE == 0:
            return self.flush()
        return 0

    cdef int ended(self) except -1:
        if self.state == CONNECTING:
            return self._refused("the connection was closed or refused before the handshake's answer")
        if self.state == OPEN:
            self.state = ENDED
            self.load.lost += 1
            self.drop()
        return 0

    cdef int _refused(self, str why) except -1:
        self.state = ENDED
        self.load.failed += 1
        self.load.refusal = why
        self.drop()
        if self.load.opened is not None:
            self.load.opened(self)
        return 0

    cdef int received(self, bytearray data, Py_ssize_t size) except -1:
        cdef Py_ssize_t at = 0
        if self.held is not None:
            data = bytearray(self.held + data[:size])
            size = len(data)
            self.held = None
        if self.state == CONNECTING:
            at = self._read_answer(data, size)
        if at < size and self.state == OPEN:
            try:
                self._read_frames(data, at, size)
            except ProtocolError:
                self.load.wrong += 1
                self.ended()
        return 0

    cdef Py_ssize_t _read_answer(self, bytearray data, Py_ssize_t size) except -1:
        """Returns where the answer to the handshake ends, all of ``size`` while it is not whole."""
        cdef Py_ssize_t end = data.find(b"\r\n\r\n", 0, size)
        if end < 0:
            self.held = bytes(data[:size])
            return size
        head = bytes(data[: end + 2])
        if not head.startswith(b"HTTP/1.1 101 ") or self.load.accept not in head:
            self._refused(head.partition(b"\r\n")[0].decode("ascii", "backslashreplace")[:200])
            return size
        self.state = OPEN
        self.load.open_count += 1
        self.load.openings.record(now() - self.since)
        if self.load.opened is not None:
            self.load.opened(self)
        return end + 4

    cdef int _read_frames(self, bytearray data, Py_ssize_t at, Py_ssize_t size) except -1:
        cdef FrameHeader header = self.load.header
        cdef Py_ssize_t n
        while at < size and self.state == OPEN:
            if not self.in_frame:
                n = read_header(data, at, size, False, False, header)
                if n == 0 or (header.opcode >= 8 and <Py_ssize_t> header.length > size - at - n):
                    self.held = bytes(data[at:size])
                    return 0
                at += n
                if header.opcode >= 8:
                    self._control(header.opcode, bytes(data[at : at + <Py_ssize_t> header.length]))
                    at += <Py_ssize_t> header.length
                    continue
                self.in_frame = True
                self.fin = header.fin
                self.left = <Py_ssize_t> header.length
            at = self._read_payload(data, at, size)
        return 0

    cdef Py_ssize_t _read_payload(self, bytearray data, Py_ssize_t at, Py_ssize_t size) except -1:
        """Compares what has come of a message with what was sent, and returns up to where."""
        cdef Load load = self.load
        cdef Py_ssize_t n = min(self.left, size - at)
        if self.got + n > PyBytes_GET_SIZE(load.payload) or memcmp(
                PyByteArray_AS_STRING(data) + at, PyBytes_AS_STRING(load.payload) + self.got, n) != 0:
            self.differs = True
        self.got += n
        self.left -= n
        if self.left == 0:
            self.in_frame = False
            if self.fin:
                if load.work != PING:  # then only pongs count; an application may say what it likes
                    load.arrived(self, self.differs or self.got != PyBytes_GET_SIZE(load.payload))
                self.got = 0
                self.differs = False
        return at + n

    cdef int _control(self, int opcode, bytes payload) except -1:
        if opcode == 9:
            self.load.pings += 1
            self._send_bytes(encode_frame(10, payload, key=KEY))
        elif opcode == 10:
            if self.load.work == PING and payload == self.load.payload:  # else nobody asked for it (RFC 6455 §5.5.3)
                self.load.arrived(self, False)
        elif opcode == 8:
            self.ended()
        return 0
