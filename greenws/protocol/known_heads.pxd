# Types for the compiler; known_heads.py is the source.
cimport cython

from greenws.protocol.http cimport RequestHead, read_request


cdef class RequestReader:
    cdef object _limits
    cdef dict _known

    @cython.locals(
        before=Py_ssize_t,
        behind=Py_ssize_t,
        begin=Py_ssize_t,
        end=Py_ssize_t,
        key=str,
        cookies=str,
        around=bytes,
        known=tuple,
        found=tuple,
    )
    cpdef tuple read(self, bytes data)
    cdef void _keep(self, bytes around, head, str key, str cookies) except *

@cython.locals(headers=list, values=dict, copy=RequestHead)
cdef RequestHead _with(RequestHead head, Py_ssize_t place, str key, Py_ssize_t cookies_place, str cookies)
