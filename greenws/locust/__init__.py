"""Load tests with locust: a user whose connection is parked, load shapes, and thresholds that set the exit code.

Importing this imports locust, which monkey-patches the whole process. It is for locustfiles, not for applications.
"""

from greenws.locust import hooks as _hooks
from greenws.locust.shapes import Stage, Stages, burst, drain, hold, ramp
from greenws.locust.user import WebSocketUser

_hooks.install()

__all__ = ["Stage", "Stages", "WebSocketUser", "burst", "drain", "hold", "ramp"]
