# Types for the compiler; context.py is the source.
cimport cython

cdef dict _ending, _ended, _begun, _of_views

cdef bint _is_any_wanted(list teardown) except -1
cdef tuple _push(object app)


cdef class ViewContexts:
    cdef object _app, _context
    cdef list _teardown
    cdef dict _variables
    cpdef renew(self)
    cpdef end(self)
    cdef _pop(self)


@cython.locals(contexts=ViewContexts)
cpdef before_wait(conn)
