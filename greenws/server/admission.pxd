# Types for the compiler; admission.py is the source.
cimport cython

from greenws.net.connection cimport Connection
from greenws.net.sender cimport Service
from greenws.protocol.handshake cimport check_request, choose_subprotocol, upgrade_headers
from greenws.protocol.http cimport RequestHead

@cython.locals(head=RequestHead, values=dict, key=str, name=str)
cdef _recall(environ)

cdef _check(environ)

cpdef tuple decide(Service service, asked, bint is_secure, path, address, subprotocols=*)
