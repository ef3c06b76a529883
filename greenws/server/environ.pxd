# Types for the compiler; environ.py is the source.
from greenws.protocol.http cimport RequestHead, environ_headers

cpdef dict make_environ(dict base, RequestHead head, address)
