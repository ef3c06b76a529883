# Types for the compiler; upgrade.py is the source. Status and headers are the application's: any object may be there.
cimport cython

from greenws.net.connection cimport Connection
from greenws.net.reactor cimport Job
from greenws.protocol.http cimport RequestHead, response_head
from greenws.server.environ cimport make_environ


cdef class Upgrade(Job):
    cdef public Connection connection
    cdef public object status, headers
    cdef object _server, _address, _tls
    cdef readonly RequestHead head
    cdef bytes _early
    cdef int _fd

    @cython.locals(head=bytes, fd=int)
    cpdef open(self)
    cpdef refuse(self, body)
    cpdef drop(self)


cpdef bytes collect(result, bint is_bounded=*)
