# Types for the compiler; admission.py is the source.
cimport cython

from greenws.net.connection cimport Connection
from greenws.net.sender cimport Service
from greenws.protocol.handshake cimport check_request, choose_subprotocol, upgrade_headers

cpdef tuple decide(Service service, asked, bint is_secure, path, address, subprotocols=*)
