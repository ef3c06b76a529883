"""Masking of payloads (RFC 6455 §5.3): the compiled twin of mask.py.

This is the one leaf that handles pointers. Eight bytes are masked at a time; the compiler turns that loop into wider ones,
on x86 also into the widest that processors of the last ten years have, chosen when the module is loaded.
"""

from cpython.bytearray cimport PyByteArray_AS_STRING
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.unicode cimport PyUnicode_1BYTE_DATA, PyUnicode_DecodeUTF8, PyUnicode_New
from libc.stdint cimport uint8_t
from libc.string cimport memcpy

cdef extern from *:
    """
    #include <arpa/inet.h>
    #include <stdint.h>
    #include <string.h>

    #if defined(__x86_64__) && defined(__GLIBC__)
    #define GREENWS_WIDEST __attribute__((target_clones("avx2", "default")))
    #else
    #define GREENWS_WIDEST
    #endif

    /* Inlined into each caller, so that the compiler knows whether the two are one, or never overlap; and leaves out what
       the caller does not look at, which is ``seen``: all bytes of the result, one on top of the other. */
    #define GREENWS_XOR(to, from)                                      \\
        const int turn = 8 * (offset & 3);                             \\
        const uint32_t half = htonl(key << turn | key >> ((32 - turn) & 31)); \\
        const uint64_t wide = (uint64_t)half << 32 | half;             \\
        uint64_t word, seen = 0;                                       \\
        uint8_t pattern[8];                                            \\
        Py_ssize_t i;                                                  \\
        for (i = 0; i + 8 <= size; i += 8) {                           \\
            memcpy(&word, from + i, 8);                                \\
            word ^= wide;                                              \\
            seen |= word;                                              \\
            memcpy(to + i, &word, 8);                                  \\
        }                                                              \\
        memcpy(pattern, &wide, 8);                                     \\
        for (; i < size; i++)                                          \\
            seen |= to[i] = from[i] ^ pattern[i & 7];

    GREENWS_WIDEST static void greenws_xor(uint8_t *payload, Py_ssize_t size, uint32_t key, Py_ssize_t offset) {
        GREENWS_XOR(payload, payload)
        (void)seen;
    }

    /* Returns whether all that comes out is ASCII. */
    GREENWS_WIDEST static int greenws_xor_text(uint8_t *payload, Py_ssize_t size, uint32_t key) {
        const Py_ssize_t offset = 0;
        GREENWS_XOR(payload, payload)
        return !(seen & 0x8080808080808080u);
    }

    GREENWS_WIDEST static void greenws_xor_into(
            uint8_t *restrict to, const uint8_t *restrict from, Py_ssize_t size, uint32_t key) {
        const Py_ssize_t offset = 0;
        GREENWS_XOR(to, from)
        (void)seen;
    }
    """
    void greenws_xor(uint8_t* payload, Py_ssize_t size, unsigned int key, Py_ssize_t offset) noexcept nogil
    bint greenws_xor_text(uint8_t* payload, Py_ssize_t size, unsigned int key) noexcept nogil
    void greenws_xor_into(uint8_t* to, const uint8_t* payload, Py_ssize_t size, unsigned int key) noexcept nogil


cdef void xor_into(uint8_t* to, const uint8_t* payload, Py_ssize_t size, unsigned int key) noexcept nogil:
    greenws_xor_into(to, payload, size, key)


cpdef void apply(bytearray buffer, Py_ssize_t start, Py_ssize_t stop, unsigned int key, Py_ssize_t offset):
    if key:
        greenws_xor(<uint8_t*> PyByteArray_AS_STRING(buffer) + start, stop - start, key, offset)


cpdef bytes unmasked(bytearray buffer, Py_ssize_t start, Py_ssize_t stop, unsigned int key):
    cdef bytes payload
    if not key or start == stop:
        return data(buffer, start, stop)
    payload = PyBytes_FromStringAndSize(NULL, stop - start)
    xor_into(<uint8_t*> PyBytes_AS_STRING(payload), <uint8_t*> PyByteArray_AS_STRING(buffer) + start, stop - start, key)
    return payload


cpdef str unmasked_text(bytearray buffer, Py_ssize_t start, Py_ssize_t stop, unsigned int key):
    cdef uint8_t* payload = <uint8_t*> PyByteArray_AS_STRING(buffer) + start
    cdef str plain
    if not key or start == stop or not greenws_xor_text(payload, stop - start, key):
        return text(buffer, start, stop)
    plain = PyUnicode_New(stop - start, 127)
    memcpy(PyUnicode_1BYTE_DATA(plain), payload, stop - start)
    return plain


cpdef str text(bytearray buffer, Py_ssize_t start, Py_ssize_t stop):
    return PyUnicode_DecodeUTF8(PyByteArray_AS_STRING(buffer) + start, stop - start, NULL)


cpdef bytes data(bytearray buffer, Py_ssize_t start, Py_ssize_t stop):
    return PyBytes_FromStringAndSize(PyByteArray_AS_STRING(buffer) + start, stop - start)
