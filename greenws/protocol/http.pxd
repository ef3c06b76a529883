# Types for the compiler; http.py is the source.
cimport cython

from greenws.protocol.grammar cimport encode_head, has_token
from greenws.protocol.head_limits cimport head_end


cdef class _Head:
    cdef readonly str version
    cdef readonly list headers
    cdef dict _values

    cpdef str get(self, str name)


cdef class RequestHead(_Head):
    cdef readonly str method, target, path, query
    cdef readonly object content_length
    cdef readonly bint is_chunked
    cdef public object asked


cdef class ResponseHead(_Head):
    cdef readonly int status
    cdef readonly str reason


@cython.final
cdef class _Fields:
    cdef list found


@cython.locals(stop=Py_ssize_t)
cpdef tuple read_request(bytes data, limits=*)

@cython.locals(method=str, target=str, protocol=str, version=str, headers=list, values=dict, host=str, path=str, query=str)
cdef RequestHead _read_head(bytes head)

@cython.locals(fields=_Fields, headers=list, values=dict)
cdef tuple _read_fields(parser, bytes head)

cdef dict _join_lines(list headers)

cdef tuple _split_target(str target, str host)

cdef tuple _read_framing(dict values, str version)

cpdef bytes response_head(int status, reason, headers)

@cython.locals(environ=dict, name=str)
cpdef dict environ_headers(RequestHead head)
