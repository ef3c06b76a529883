"""Load for a WebSocket server, and what it cost the server: ``greenws bench``.

It knows `net` and `protocol` and nothing of our server or of Flask, so it measures any server that speaks RFC 6455.
"""
