"""Descriptors and greenlets: the only place that owns any.

Reading order: ``reactor`` (what is ready), ``stream`` (bytes of one descriptor), ``connection`` (messages on it),
``pool`` (greenlets that run handlers), ``wheel`` and ``heartbeat`` (time), ``registry`` (who is there), ``transport``
(TLS).
"""
