# Types for the compiler; handshake.py is the source.
cimport cython

from greenws.protocol.grammar cimport encode_head, has_token, is_token, split_list

cpdef bint wants_websocket(get) except -1

cpdef check_request(method, version, get)

cpdef str accept_key(str key)

cdef bytes _accept_key(str key)

cpdef bytes upgrade_answer(request, subprotocol=*, extensions=*)

cpdef choose_subprotocol(offered, supported)

@cython.locals(headers=list)
cpdef list upgrade_headers(request, subprotocol=*, extensions=*)
