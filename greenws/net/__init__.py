"""Descriptors and greenlets: the only place that owns any.

Reading order: ``reactor`` (what is ready), ``stream`` (bytes of one descriptor), then a connection from the bottom up:
``sender``, ``receiver``, ``closing``, ``connection``. Beside them ``pool`` (greenlets that run handlers), ``wheel`` and
``heartbeat`` (time), ``registry`` (who is there), ``broadcast``, ``transport`` (TLS).
"""
