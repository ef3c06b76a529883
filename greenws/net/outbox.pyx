"""What waits for the kernel to take it, and who waits for it to go.

First come bytes of the connection's own. As soon as a frame waits that others are sent, too, what follows is a row of pieces: those
frames as they are, and the connection's own bytes between them. So one copy of a broadcast waits, however many peers are too slow
for it.
"""

from collections import deque

from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_GET_SIZE, PyByteArray_Resize
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy, memmove

cdef enum:
    FIRST = 4096


cdef class Outbox:
    """``data[start:stop]`` is sent first, then the ``pieces``: ``behind`` bytes, of the first of which ``taken`` have gone."""

    def __dealloc__(self):
        free(self.data)

    cdef Py_ssize_t size(self) noexcept:
        return self.stop - self.start + self.behind

    cdef unsigned char* reserve(self, Py_ssize_t size) except NULL:
        """Returns room for ``size`` more bytes, which the caller fills; they count as queued at once. Only where nothing is kept."""
        cdef Py_ssize_t held = self.stop - self.start
        cdef void* grown
        if self.capacity - self.stop < size:
            if self.start:
                memmove(self.data, self.data + self.start, held)
                self.start = 0
                self.stop = held
            if self.capacity - held < size:
                self.capacity = max(FIRST, held + size, held + held // 2)
                grown = realloc(self.data, self.capacity)
                if grown == NULL:
                    self.capacity = 0
                    raise MemoryError
                self.data = <unsigned char*> grown
        self.stop += size
        return self.data + self.stop - size

    cdef int put(self, const unsigned char* head, Py_ssize_t head_size, const char* body, Py_ssize_t size) except -1:
        """Queues a copy of two pieces."""
        cdef unsigned char* into
        cdef bytearray own
        cdef Py_ssize_t at
        if self.behind:
            last = self.pieces[len(self.pieces) - 1]
            if type(last) is not bytearray:
                last = bytearray()
                self.pieces.append(last)
            own = last
            at = PyByteArray_GET_SIZE(own)
            PyByteArray_Resize(own, at + head_size + size)
            into = <unsigned char*> PyByteArray_AS_STRING(own) + at
            self.behind += head_size + size
        else:
            into = self.reserve(head_size + size)
        memcpy(into, head, head_size)
        memcpy(into + head_size, body, size)
        return 0

    cdef int keep(self, bytes frame, Py_ssize_t sent) except -1:
        """Queues a frame as it is. If some of it has been ``sent``, nothing else may wait."""
        if self.pieces is None:
            self.pieces = deque()
        self.pieces.append(frame)
        self.taken += sent
        self.behind += PyBytes_GET_SIZE(frame) - sent
        return 0

    cdef int show(self, iovec* parts) except -1:
        """Says where the first bytes lie, in PARTS pieces at most. Returns in how many."""
        cdef int n = 0
        cdef Py_ssize_t taken = self.taken
        if self.stop > self.start:
            parts[0].iov_base = self.data + self.start
            parts[0].iov_len = self.stop - self.start
            n = 1
        for piece in self.pieces:
            if n == PARTS:
                break
            if type(piece) is bytearray:
                parts[n].iov_base = PyByteArray_AS_STRING(piece)
                parts[n].iov_len = PyByteArray_GET_SIZE(piece)
            else:
                parts[n].iov_base = PyBytes_AS_STRING(piece) + taken
                parts[n].iov_len = PyBytes_GET_SIZE(piece) - taken
            taken = 0
            n += 1
        return n

    cdef int forget(self, Py_ssize_t sent) except -1:
        """Lets go of what has been sent."""
        cdef Py_ssize_t own = min(sent, self.stop - self.start)
        self.start += own
        sent -= own
        if sent == 0:
            return 0
        self.behind -= sent
        sent += self.taken
        while self.pieces and sent >= len(self.pieces[0]):
            sent -= len(self.pieces.popleft())
        if sent and type(self.pieces[0]) is bytearray:
            del self.pieces[0][:sent]  # it may still grow
            sent = 0
        self.taken = sent
        return 0
