"""Switches between greenlets, and calls in a context of variables, by the C interfaces: without a Python call around them."""

import sys

from cpython.contextvars cimport PyContext_Copy, PyContext_Enter, PyContext_Exit
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


cpdef object call_in_copy(object variables, object function, object first, object second):
    """Returns ``function(first, second)``, called in a copy of a ``contextvars.Context``."""
    copy = PyContext_Copy(variables)
    PyContext_Enter(copy)
    try:
        return function(first, second)
    finally:
        PyContext_Exit(copy)
