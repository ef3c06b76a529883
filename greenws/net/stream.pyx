"""The bytes of one descriptor: read into a buffer that all of a thread share, written straight to the kernel.

A stream that is quiet owns its descriptor and nothing else. What the kernel refuses, and what is written while answers to a
batch are being collected ("corked"), waits in an Outbox that exists only as long as there is something in it. ``write`` never
blocks; who must wait for room does so above.

TLS is a filter between: ``tls.receive(bytes) -> bytes`` and ``tls.send(bytes) -> bytes`` (see transport).
"""


from cpython.bytearray cimport PyByteArray_AS_STRING
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memcpy

from greenws.net.outbox cimport PARTS, Outbox, iovec
from greenws.net.reactor cimport EDGE, ENDS, GONE, READ, READ_SIZE, WRITE, Pollable

cdef extern from *:
    """
    #include <errno.h>
    #include <sys/socket.h>
    #include <sys/uio.h>
    #include <unistd.h>
    #ifndef MSG_NOSIGNAL
    #define MSG_NOSIGNAL 0
    #endif
    static ssize_t greenws_recv(int fd, void *data, size_t size) {
        ssize_t n;
        do { n = recv(fd, data, size, 0); } while (n < 0 && errno == EINTR);
        return n >= 0 ? n : errno == EAGAIN || errno == EWOULDBLOCK ? -1 : -2;
    }
    static ssize_t greenws_result(ssize_t n) {
        return n >= 0 ? n : errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -1;
    }
    static ssize_t greenws_send(int fd, const void *data, size_t size) {
        ssize_t n;
        do { n = send(fd, data, size, MSG_NOSIGNAL); } while (n < 0 && errno == EINTR);
        return greenws_result(n);
    }
    static ssize_t greenws_send_parts(int fd, struct iovec *parts, int count) {
        struct msghdr m = {.msg_iov = parts, .msg_iovlen = count};
        ssize_t n;
        do { n = sendmsg(fd, &m, MSG_NOSIGNAL); } while (n < 0 && errno == EINTR);
        return greenws_result(n);
    }
    static ssize_t greenws_send_two(int fd, const void *head, size_t head_size, const void *body, size_t size) {
        struct iovec parts[2] = {{(void *)head, head_size}, {(void *)body, size}};
        return greenws_send_parts(fd, parts, 2);
    }
    static int greenws_peek(int fd) {
        char byte;
        return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
    }
    static void greenws_shut(int fd) { shutdown(fd, SHUT_WR); }
    """
    Py_ssize_t greenws_recv(int fd, void* data, size_t size) nogil
    Py_ssize_t greenws_send(int fd, const void* data, size_t size) nogil
    Py_ssize_t greenws_send_parts(int fd, iovec* parts, int count) nogil
    Py_ssize_t greenws_send_two(int fd, const void* head, size_t head_size, const void* body, size_t size) nogil
    bint greenws_peek(int fd)
    void greenws_shut(int fd)
    int close(int fd)

cdef enum:
    SCRATCH = 65536  # a frame up to this size is copied together; a larger one is sent in two pieces
    SHARED = 64  # bytes of a frame that is worth sharing: each place in an outbox takes eight
    KEEP_OUTBOX = 65536

cdef bytearray scratch = bytearray(SCRATCH)
cdef Outbox spare_outbox = None


cdef class Stream(Pollable):
    """One descriptor in the reactor. It is closed by ``drop``, at the latest when the object dies."""

    def __dealloc__(self):
        if self.fd >= 0:
            close(self.fd)

    cdef int take(self, int fd, object tls) except -1:
        """Owns the descriptor from here on, also when this fails."""
        self.fd = fd
        self.tls = tls
        self.reactor.add(self, fd, READ | EDGE)
        return 0

    cdef int drop(self) except -1:
        """Closes the descriptor. What is queued is lost."""
        cdef int fd = self.fd
        if fd >= 0:
            self.reactor.remove(self)
            self.fd = -1
            close(fd)
        return 0

    cdef int received(self, bytearray data, Py_ssize_t size) except -1:
        """The peer sent ``data[:size]``, which may be looked at until the hub's next turn."""
        return 0

    cdef int ended(self) except -1:
        """The peer sends no more, or the connection is lost."""
        return 0

    cdef int flushed(self) except -1:
        """All that was queued has gone, or enough of it for waiting writers."""
        return 0

    cdef int ready(self, unsigned int events) except -1:
        cdef Py_ssize_t n
        if events & WRITE:
            self.flush()
        if self.fd < 0 or not events & (READ | GONE):
            return 0
        if self.paused:
            return self.ended() if events & GONE else 0
        n = greenws_recv(self.fd, PyByteArray_AS_STRING(self.reactor.buffer), READ_SIZE)
        if n > 0:
            if n == READ_SIZE or events & ENDS:
                self.reactor.again(self)  # there may be more, or only the end
            if self.tls is not None:
                return self._received_tls(n)
            return self.received(self.reactor.buffer, n)
        if n != -1:
            return self.ended()
        return 0

    cdef int _received_tls(self, Py_ssize_t n) except -1:
        cdef bytes plain
        cdef Py_ssize_t size
        try:
            plain = self.tls.receive(bytes(self.reactor.buffer[:n]))
            self._queue_encrypted(self.tls.send(b""))
        except OSError:
            return self.ended()
        size = PyBytes_GET_SIZE(plain)
        if size:
            if size <= READ_SIZE:
                memcpy(PyByteArray_AS_STRING(self.reactor.buffer), PyBytes_AS_STRING(plain), size)
                self.received(self.reactor.buffer, size)
            else:
                self.received(bytearray(plain), size)
        if self.fd >= 0 and self.tls.is_closed:
            return self.ended()
        return 0

    cdef Outbox need_outbox(self):
        global spare_outbox
        if self.outbox is None:
            if spare_outbox is None:
                self.outbox = Outbox()
            else:
                self.outbox = spare_outbox
                spare_outbox = None
        return self.outbox

    cdef int write(self, const unsigned char* head, Py_ssize_t head_size, const char* body, Py_ssize_t size) except -1:
        """Sends two pieces as one, or queues what the kernel does not take. Sets ``broken`` when the peer is gone."""
        cdef Py_ssize_t sent, total = head_size + size
        cdef unsigned char* into
        if self.broken:
            return 0
        if self.tls is not None and self.fd >= 0:
            self._queue_encrypted(self.tls.send(PyBytes_FromStringAndSize(<char*> head, head_size) + body[:size]))
            return 0 if self.corked else self.flush()
        if self.outbox is not None or self.corked or self.fd < 0:
            self.need_outbox().put(head, head_size, body, size)
            if self.registered and not self.held and self.interest & WRITE == 0:
                self.reactor.defer(self)  # flushed in the hub's next turn, if not before
            return 0
        if total <= SCRATCH:
            into = <unsigned char*> PyByteArray_AS_STRING(scratch)
            memcpy(into, head, head_size)
            memcpy(into + head_size, body, size)
            sent = greenws_send(self.fd, into, total)
        else:
            sent = greenws_send_two(self.fd, head, head_size, body, size)
        if sent == total:
            return 0
        if sent < 0:
            return self._break()
        if sent < head_size:
            self.need_outbox().put(head + sent, head_size - sent, body, size)
        else:
            self.need_outbox().put(head, 0, body + sent - head_size, total - sent)
        return self.want_write(True)

    cdef int write_shared(self, bytes frame) except -1:
        """As ``write``. Of a frame that others are sent, too, what must wait is not copied."""
        cdef Py_ssize_t sent, size = PyBytes_GET_SIZE(frame)
        if self.tls is None and self.fd >= 0 and not self.broken:
            if self.outbox is None and not self.corked:
                sent = greenws_send(self.fd, PyBytes_AS_STRING(frame), size)
                if sent == size:
                    return 0
                if sent < 0:
                    return self._break()
                self.need_outbox().keep(frame, sent)
                return self.want_write(True)
            if size >= SHARED and self.outbox is not None and self.interest & WRITE:
                return self.outbox.keep(frame, 0)
        return self.write(<const unsigned char*> PyBytes_AS_STRING(frame), size, "", 0)

    cdef int _queue_encrypted(self, bytes data) except -1:
        cdef Py_ssize_t size = PyBytes_GET_SIZE(data)
        if size:
            memcpy(self.need_outbox().reserve(size), PyBytes_AS_STRING(data), size)
            self.reactor.defer(self)
        return 0

    cdef int flush(self) except -1:
        """Writes what is queued, as far as the kernel takes it."""
        global spare_outbox
        cdef Outbox outbox = self.outbox
        cdef iovec parts[PARTS]
        cdef int count
        cdef Py_ssize_t sent
        self.corked = False
        if outbox is None or self.fd < 0:
            return 0
        while outbox.size():
            count = 0
            if outbox.behind:
                count = outbox.show(parts)
                sent = greenws_send_parts(self.fd, parts, count)
            else:
                sent = greenws_send(self.fd, outbox.data + outbox.start, outbox.size())
            if sent < 0:
                return self._break()
            outbox.forget(sent)
            if count < PARTS or sent == 0:
                break  # all was offered: the kernel says, once, when it can take what it has refused
        if outbox.size():
            self.want_write(True)
        else:
            self.want_write(False)
            if not outbox.writers and outbox.latest is None and outbox.pong is None:
                self.outbox = None
                outbox.writers = outbox.pieces = None
                outbox.start = outbox.stop = outbox.over_since = 0
                if outbox.capacity <= KEEP_OUTBOX:
                    spare_outbox = outbox
        return self.flushed()

    cdef int _break(self) except -1:
        self.broken = True
        if self.outbox is not None and not self.outbox.writers:
            self.outbox = None
        self.reactor.defer(self)
        return 0

    cdef int want_write(self, bint wanted) except -1:
        return self.reactor.change(self, self.interest | WRITE if wanted else self.interest & ~WRITE)

    cdef int pause(self) except -1:
        self.paused = True
        return self.reactor.change(self, self.interest & ~READ)

    cdef int unpause(self) except -1:
        self.paused = False
        return self.reactor.change(self, self.interest | READ)

    cdef bint has_unread(self):
        """Whether bytes of the peer lie in the kernel."""
        return self.fd >= 0 and greenws_peek(self.fd)

    cdef int shut(self) except -1:
        """Tells the peer that nothing more comes (RFC 9293 §3.6, half-close)."""
        if self.fd >= 0:
            greenws_shut(self.fd)
        return 0
