"""Switches between greenlets by greenlet's C interface, without a Python call."""

import sys

from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF
from gevent import get_hub

cdef extern from "greenlet/greenlet.h":
    ctypedef struct PyGreenlet:
        pass
    void PyGreenlet_Import() except *
    object PyGreenlet_Switch(PyGreenlet* target, PyObject* args, PyObject* kwargs)
    PyGreenlet* PyGreenlet_GetCurrent()

PyGreenlet_Import()


cdef int switch_to(object greenlet) except -1:
    """Lets another greenlet run until somebody switches back to this one. Raises what is thrown into this one meanwhile."""
    PyGreenlet_Switch(<PyGreenlet*> <PyObject*> greenlet, NULL, NULL)
    return 0


cdef int run_greenlet(object greenlet) except -1:
    """Switches to a greenlet that waits, from the hub. What it raises, when it ends by that, is reported, not raised here."""
    try:
        switch_to(greenlet)
    except BaseException:
        get_hub().handle_error(greenlet, *sys.exc_info())
    return 0


cdef object current_greenlet():
    cdef PyObject* current = <PyObject*> PyGreenlet_GetCurrent()  # a new reference, which the cast does not know of
    greenlet = <object> current
    Py_DECREF(greenlet)
    return greenlet
