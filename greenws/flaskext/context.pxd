# Types for the compiler; context.py is the source.

cdef bint _is_any_wanted(list teardown, dict ending, dict ended, dict begun) except -1
cdef tuple _push(object app)
