# A bint of one byte: four times fewer in a connection, of which there are many.
cdef extern from "<stdbool.h>":
    ctypedef bint flag "bool"
