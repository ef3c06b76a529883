"""Messages sent by and by: one message in fragments (RFC 6455 §5.4), from an iterable or a file, in constant memory.

Between two fragments go control frames and a Close, and nothing else: other senders wait for the end of the message, and so
do the frames of broadcasts, which ``Turn`` keeps.
"""

import os
import stat

from cpython.buffer cimport PyObject_CheckBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from gevent.fileobject import FileObjectPosix, FileObjectThread

from greenws.errors import StateError
from greenws.protocol.deflate import Deflation

from greenws.net.greenlets cimport current_greenlet
from greenws.net.sender cimport CONNECTING, OPEN, Sender
from greenws.net.turn cimport Turn

cdef enum:
    FIN = 0x80
    RSV1 = 0x40
    PIECE = 65536  # bytes read from a file and sent in one fragment
    CHARACTERS = 16384  # of which each has at most four bytes
    IN_A_ROW = 16  # fragments, then others have a turn of the loop


cdef class Outflow(Sender):
    """See ``greenws.net.connection.Connection``, which is the whole of it."""

    def send_stream(self, source, compress=None):
        """Sends one message by and by, in constant memory: text from chunks that are str, binary from bytes-like ones.

        Blocks the calling greenlet while ``high_water_mark`` bytes wait for the peer, and while a file is read. Safe from several
        greenlets: what others send meanwhile waits for its end. Safe from other threads; the source is then used in the
        connection's own. The source is not closed.

        Args:
            source: an iterable of chunks, each of which leaves at once, or a file that is open for reading.
            compress: whether to compress it, if that was agreed on; None does.

        Raises:
            ConnectionClosed: the connection has ended, perhaps in the middle.
            TypeError: a chunk is neither text nor bytes, or of another kind than those before it.
            StateError: called in ``on_open``, in the hub, or by the source of another stream to the same peer.
            Exception: what the source raises. If a part has been sent the connection is closed with 1011, for a message cannot be
                taken back.
        """
        cdef Turn turn
        if not self.reactor.is_here():
            return self._from_thread(self.send_stream, source, compress)
        chunks = _chunks(source, self.reactor.hub)
        turn = self._take_turn()
        try:
            self._send_all(chunks, compress)
        finally:
            self._end(turn)

    cdef Turn _take_turn(self):
        if self.state == CONNECTING and self.service.on_message is not None:
            raise StateError("send_stream waits for its peer, and on_open runs before the connection opens")
        if current_greenlet() is self.reactor.hub:
            raise StateError("send_stream waits for its peer, which the hub cannot do; call it in a greenlet")
        if self.state != OPEN:
            self.before_io()
        self.check_open()
        if self.turn is not None and self.turn.wait():
            self.check_open()
        if self.turn is None:
            self.turn = Turn(self.reactor)
        self.turn.owner = current_greenlet()
        if self.outbox is not None and self.outbox.latest is not None:
            self.push_latest()
        return self.turn

    cdef int _end(self, Turn turn) except -1:
        turn.owner = None
        turn.size = 0
        turn.has_latest = False
        self.reactor.defer(self)  # it wakes those who wait
        while turn.behind:
            frame, payload = turn.behind.popleft()
            if not self.close_sent and not self.broken and self.state <= OPEN:
                self.write_offered(frame, payload)
        return 0

    cdef int _send_all(self, chunks, compress) except -1:
        cdef int opcode = 0, first = 0
        cdef Py_ssize_t count = 0
        deflation = None
        try:
            for chunk in chunks:
                if not opcode:
                    opcode = first = _opcode(chunk)
                elif _opcode(chunk) != opcode:
                    raise TypeError("a message is text or binary: its chunks cannot be of both kinds")
                for piece in _pieces(chunk):
                    if not count and self.deflate is not None and (compress is None or compress):
                        deflation = Deflation(self.deflate.compressor)
                        first |= RSV1
                    count += 1
                    self._send_fragment(first, piece if deflation is None else deflation.encode(piece))
                    first = 0
                    if count % IN_A_ROW == 0:
                        self._let_others_run()
            if not opcode:
                first = 2  # nothing at all is an empty binary message
            self._send_fragment(first | FIN, b"" if deflation is None else deflation.finish())
        except BaseException:
            if count:
                self.close(1011, "message broken off")
            raise
        return 0

    cdef int _send_fragment(self, unsigned char first, bytes payload) except -1:
        self.check_open()
        if self.outbox is not None and self.outbox.size() >= self.service.high_water:
            self.wait_for_room()
        self.last_message = self.reactor.wheel.tick
        self.write_frame(first, PyBytes_AS_STRING(payload), PyBytes_GET_SIZE(payload))
        if self.broken:
            raise self.closed_error()
        return 0

    cdef int _let_others_run(self) except -1:
        """Waits for a real turn of the loop: a peer that reads quickly would else keep everybody from theirs."""
        with self.reactor.loop.timer(0) as turn:
            self.reactor.hub.wait(turn)
        return 0


cdef int _opcode(object chunk) except -1:
    if isinstance(chunk, str):
        return 1
    if isinstance(chunk, (bytes, bytearray)) or PyObject_CheckBuffer(chunk):
        return 2
    raise TypeError(f"a chunk is str or bytes-like, not {type(chunk).__name__}")


def _pieces(chunk):
    """Yields the bytes of a chunk, as many as a fragment has."""
    if isinstance(chunk, str):
        for at in range(0, len(chunk), CHARACTERS):
            yield chunk[at : at + CHARACTERS].encode()
        return
    view = memoryview(chunk)
    if view.nbytes:
        view = view.cast("B") if view.c_contiguous else memoryview(bytes(view))
    for at in range(0, view.nbytes, PIECE):
        yield bytes(view[at : at + PIECE])


def _chunks(source, hub):
    """Returns an iterator over what a source has."""
    if isinstance(source, (str, bytes, bytearray, memoryview)):
        raise TypeError("send_stream takes an iterable of chunks, or a file; what is there already can be sent with send")
    if not hasattr(source, "read"):
        return iter(source)
    return _read(source.read, hub.threadpool if _is_regular(source) else None)


def _is_regular(source):
    """Whether it is a file on a disk, of which no loop can say when it is ready. Those of gevent do as they should by themselves."""
    if isinstance(source, (FileObjectPosix, FileObjectThread)):
        return False
    try:
        return stat.S_ISREG(os.fstat(source.fileno()).st_mode)
    except (AttributeError, OSError, ValueError):  # there is no descriptor
        return False


def _read(read, threads):
    while True:
        if threads is None:
            chunk = read(PIECE)
        else:
            chunk, error = threads.apply(_attempt, (read,))
            if error is not None:
                raise error
        yield chunk  # also the empty one at the end, which says what kind of file it is
        if not chunk:
            return


def _attempt(read):
    """Reads in another thread. What it raises is returned: gevent would report it as nobody's."""
    try:
        return read(PIECE), None
    except Exception as error:
        return None, error
