from libc.stdint cimport uint8_t

cdef void xor_into(uint8_t* to, const uint8_t* payload, Py_ssize_t size, unsigned int key) noexcept nogil
cpdef void apply(bytearray buffer, Py_ssize_t start, Py_ssize_t stop, unsigned int key, Py_ssize_t offset)
cpdef bytes unmasked(bytearray buffer, Py_ssize_t start, Py_ssize_t stop, unsigned int key)
cpdef str unmasked_text(bytearray buffer, Py_ssize_t start, Py_ssize_t stop, unsigned int key)
cpdef str text(bytearray buffer, Py_ssize_t start, Py_ssize_t stop)
cpdef bytes data(bytearray buffer, Py_ssize_t start, Py_ssize_t stop)
