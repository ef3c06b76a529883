# Types for the compiler; frames.py is the source. A wire length is a 64-bit unsigned number until it has been checked.
cimport cython


cdef class FrameHeader:
    cdef public bint fin
    cdef public bint compressed
    cdef public int opcode
    cdef public unsigned long long length
    cdef public unsigned int key


@cython.locals(
    have=Py_ssize_t, first="unsigned char", second="unsigned char", opcode=int, length="unsigned long long",
    size=Py_ssize_t, at=Py_ssize_t)
cpdef Py_ssize_t read_header(
    bytearray buffer, Py_ssize_t start, Py_ssize_t stop, bint masked, bint rsv1_allowed, FrameHeader header) except -1

@cython.locals(opcode=int)
cdef int _check_first_bytes(unsigned char first, unsigned char second, bint masked, bint rsv1_allowed) except -1

@cython.locals(i=Py_ssize_t, length="unsigned long long")
cdef unsigned long long _read_long(bytearray buffer, Py_ssize_t at) except? 1

@cython.locals(bit="unsigned char", i=int, size=Py_ssize_t)
cpdef Py_ssize_t write_header(
    bytearray buffer, Py_ssize_t at, unsigned char first, unsigned long long length, bint masked, unsigned int key)
