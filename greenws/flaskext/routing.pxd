# Types for the compiler; routing.py is the source.
from greenws.protocol.http cimport RequestHead

cdef tuple _read_all_of(RequestHead head, environ)
