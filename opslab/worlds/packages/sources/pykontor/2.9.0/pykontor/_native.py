"""The native part.

In a driver with compiled wheels this would be a .so file, made from C. Here it is Python that works on addresses as C does,
so that it can be read. C has no exceptions: a function that fails returns NULL, and whoever called it has to look before
using the result.
"""

import ctypes

NULL = 0


class Result(ctypes.Structure):
    """A Python object in a place that has an address."""

    _fields_ = [("value", ctypes.py_object)]


kept = Result()


def call(function, *arguments):
    """Call back into Python. The address of the Result; NULL where it raised."""
    try:
        kept.value = function(*arguments)
    except Exception:  # noqa: BLE001
        return NULL
    return ctypes.addressof(kept)


def use(address):
    """The object at an address."""
    result = Result()
    ctypes.memmove(ctypes.byref(result), address, ctypes.sizeof(result))
    return result.value
