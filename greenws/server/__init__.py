"""Servers that upgrade: sockets, request heads, and the hand-over of a connection."""

from greenws.server.wsgi import WSGIServer

__all__ = ["WSGIServer"]
