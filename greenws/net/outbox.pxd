cdef extern from "<sys/uio.h>":
    struct iovec:
        void* iov_base
        size_t iov_len

cdef enum:
    PARTS = 128  # pieces that leave in one system call


cdef class Outbox:
    cdef unsigned char* data
    cdef Py_ssize_t start, stop, capacity, behind, taken
    cdef object writers, pieces
    cdef bytes latest, pong
    cdef unsigned int over_since
    cdef Py_ssize_t size(self) noexcept
    cdef unsigned char* reserve(self, Py_ssize_t size) except NULL
    cdef int put(self, const unsigned char* head, Py_ssize_t head_size, const char* body, Py_ssize_t size) except -1
    cdef int keep(self, bytes frame, Py_ssize_t sent) except -1
    cdef int show(self, iovec* parts) except -1
    cdef int forget(self, Py_ssize_t sent) except -1
