# Types for the compiler; messages.py is the source.
cimport cython

from greenws.protocol cimport mask
from greenws.protocol.events cimport Ping, Pong
from greenws.protocol.frames cimport FrameHeader, read_header


cdef class MessageDecoder:
    cdef public bint masked
    cdef public unsigned long long max_size
    cdef public Py_ssize_t max_fragments
    cdef public object extension
    cdef public unsigned long long max_stream_size
    cdef public bint discard
    cdef FrameHeader _header
    cdef bytearray _buffer
    cdef Py_ssize_t _at
    cdef Py_ssize_t _stop
    cdef bint _ended
    cdef bytearray _partial
    cdef bytearray _control
    cdef Py_ssize_t _left
    cdef bint _in_frame
    cdef int _opcode
    cdef bint _compressed
    cdef bint _is_stream
    cdef Py_ssize_t _fragments
    cdef unsigned long long _announced
    cdef bytearray _message
    cdef bytes _split
    cdef bytearray _deflated
    cdef object _inflation
    cdef unsigned long long _inflated
    cdef Py_ssize_t _work

    cdef bint _is_idle(self) noexcept
    cpdef bint has_more(self) noexcept
    cpdef void feed(self, bytearray buffer, Py_ssize_t start, Py_ssize_t stop)
    cpdef object next(self)
    cdef void _end(self)
    cdef object _next(self)
    @cython.locals(header=FrameHeader, rsv1=bint, size=Py_ssize_t)
    cdef bint _begin_frame(self) except -1
    @cython.locals(rsv1=bint)
    cdef bint _finish_header(self, bytearray partial) except -1
    cdef int _check_order(self) except -1
    @cython.locals(compressed=bint, most="unsigned long long")
    cdef int _check_size(self) except -1
    @cython.locals(header=FrameHeader)
    cdef bint _is_simple(self) noexcept
    @cython.locals(start=Py_ssize_t, opcode=int, payload=bytes)
    cdef object _whole_frame(self)
    @cython.locals(header=FrameHeader)
    cdef void _begin_payload(self) except *
    @cython.locals(size=Py_ssize_t, stop=Py_ssize_t)
    cdef Py_ssize_t _take(self, bytearray into, Py_ssize_t most) except -1
    @cython.locals(control=bytearray)
    cdef object _control_payload(self)
    cdef object _control_event(self, bytes payload)
    @cython.locals(message=bytearray, size=Py_ssize_t)
    cdef object _data_payload(self)
    @cython.locals(chunk=bytes)
    cdef int _check_text(self, bytearray message, Py_ssize_t size) except -1
    @cython.locals(size=Py_ssize_t)
    cdef int _pass_over(self) except -1
    @cython.locals(opcode=int)
    cdef object _finish_message(self, bytearray message)
    cdef void _forget_message(self)
    @cython.locals(is_rest=bint, is_last=bint)
    cdef object _chunk(self, bytearray message, bint is_whole)
    @cython.locals(text=str, size=Py_ssize_t)
    cdef object _text_chunk(self, bytearray message, bint is_last)
    @cython.locals(is_whole=bint)
    cdef object _deflated_payload(self, bytearray message)
    @cython.locals(deflated=bytearray)
    cdef bint _collect(self) except -1
    @cython.locals(deflated=bytearray)
    cdef bint _feed_inflation(self) except -1
    @cython.locals(room=Py_ssize_t, part=bytes)
    cdef int _inflate(self, bytearray message) except -1
