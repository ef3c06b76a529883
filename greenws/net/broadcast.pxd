# Types for the compiler; broadcast.py is the source.
cimport cython

from greenws.net.sender cimport offer


@cython.locals(payload=bytes, frame=bytes, alone=bytes, outcome=int, taken=long)
cpdef broadcast(connections, message, str policy=*, compress=*)
