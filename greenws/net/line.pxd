from greenws.net.wheel cimport Item

cdef extern from "<stdbool.h>":
    ctypedef bint flag "bool"  # of one byte where a bint has four: a connection has many, and there are many connections


cdef class TurnTaker(Item):
    cdef object begin_turn(self)
    cdef int start_turn(self) except -1
    cdef int end_turn(self) except -1

cdef class Line:
    cdef object hub
    cdef list waiting  # in the order they came
    cdef Py_ssize_t size  # bytes of their messages
    cdef Py_ssize_t served  # how many of them have had their turn, or have it
    cdef TurnTaker serving  # whose turn it is
    cdef int add(self, TurnTaker item, Py_ssize_t size) except -1
    cdef bint is_full(self) noexcept
    cdef int clear(self) except -1
    cdef int serve(self) except -1
    cdef int park(self, object me) except -1
    cdef object _hand_on(self)
