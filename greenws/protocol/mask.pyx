"""Masking of payloads, in place (RFC 6455 §5.3): the compiled twin of mask.py.

This is the one leaf that handles pointers. Eight bytes are masked at a time; the compiler turns that loop into wider ones.
"""

from cpython.bytearray cimport PyByteArray_AS_STRING
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcpy


cdef void xor(uint8_t* payload, Py_ssize_t size, unsigned int key, Py_ssize_t offset) noexcept nogil:
    cdef uint8_t pattern[8]
    cdef uint64_t wide, word
    cdef Py_ssize_t i
    for i in range(8):
        pattern[i] = <uint8_t> (key >> (24 - 8 * ((i + offset) & 3)))
    memcpy(&wide, pattern, 8)
    i = 0
    while i + 8 <= size:
        memcpy(&word, payload + i, 8)
        word ^= wide
        memcpy(payload + i, &word, 8)
        i += 8
    while i < size:
        payload[i] ^= pattern[i & 7]
        i += 1


cpdef void apply(bytearray buffer, Py_ssize_t start, Py_ssize_t stop, unsigned int key, Py_ssize_t offset):
    if key:
        xor(<uint8_t*> PyByteArray_AS_STRING(buffer) + start, stop - start, key, offset)


cpdef str text(bytearray buffer, Py_ssize_t start, Py_ssize_t stop):
    return PyUnicode_DecodeUTF8(PyByteArray_AS_STRING(buffer) + start, stop - start, NULL)


cpdef bytes data(bytearray buffer, Py_ssize_t start, Py_ssize_t stop):
    return PyBytes_FromStringAndSize(PyByteArray_AS_STRING(buffer) + start, stop - start)
