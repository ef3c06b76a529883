# Types for the compiler; straight.py is the source.
cimport cython

from greenws.net.connection cimport Connection
from greenws.net.sender cimport Service
from greenws.protocol.handshake cimport check_request, upgrade_answer
from greenws.server.admission cimport decide

@cython.locals(conn=Connection)
cpdef bint open_straight(server, Service service, int fd, head, bytes early, address, tls) except -1
