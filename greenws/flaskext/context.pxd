# Types for the compiler; context.py is the source.
cimport cython

from greenws.net.greenlets cimport call_in_copy

cdef dict _ending, _ended, _begun, _of_views

cdef bint _is_any_wanted(list teardown) except -1


cdef class _Place:
    cdef object variables
    cdef dict in_g


cdef class _Messages:
    cdef object _app, _on_message
    cdef list _teardown, _more
    cdef _Place _spare
    @cython.locals(place=_Place)
    cpdef run(self, conn, message)


cdef class ViewContexts:
    cdef object _app, _context
    cdef list _teardown
    cdef dict _variables
    cpdef renew(self)
    cpdef end(self)
    cdef _pop(self)


@cython.locals(contexts=ViewContexts)
cpdef before_wait(me)
