from greenws.net.line cimport flag
from greenws.net.outbox cimport Outbox
from greenws.net.reactor cimport Pollable

cdef class Stream(Pollable):
    cdef Outbox outbox
    cdef object tls
    cdef flag corked, held, broken, paused
    cdef int take(self, int fd, object tls) except -1
    cdef int drop(self) except -1
    cdef Outbox need_outbox(self)
    cdef int _received_tls(self, Py_ssize_t n) except -1
    cdef int _queue_encrypted(self, bytes data) except -1
    cdef int _break(self) except -1
    cdef int write(self, const unsigned char* head, Py_ssize_t head_size, const char* body, Py_ssize_t size) except -1
    cdef int write_shared(self, bytes frame) except -1
    cdef int flush(self) except -1
    cdef int pause(self) except -1
    cdef int unpause(self) except -1
    cdef int shut(self) except -1
    cdef bint has_unread(self)
    cdef int received(self, bytearray data, Py_ssize_t size) except -1
    cdef int ended(self) except -1
    cdef int flushed(self) except -1
    cdef int want_write(self, bint wanted) except -1
