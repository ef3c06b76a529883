"""Metrics for Prometheus: what is counted anyway, read when it is asked for.

Reading order: ``figures`` (every metric, and values of them), ``host`` and ``pulse`` (what has to be looked at),
``process`` (all of one process), ``share`` (several workers), ``observer`` (the whole), ``exposition`` (the text). Only
the last needs ``prometheus_client``.
"""
