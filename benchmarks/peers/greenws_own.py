"""GreenWS on its own server: ``python -m benchmarks.peers.greenws_own PORT WORD…``, with any of these words.

user      a ``before_request`` reads the user from the session, as most applications do
visits    and writes to it at each upgrade, as few do
teardown  the application wants to know of the end of each app context
bare      no app context for a message: what such contexts cost is the difference
deflate   compression is negotiated with peers that offer it
pings     each 25 seconds, as the others that ping
"""

import sys

from gevent import monkey

monkey.patch_all()

from benchmarks.peers.greenws_app import create_app  # noqa: E402
from greenws.flaskext import route  # noqa: E402
from greenws.server import WSGIServer  # noqa: E402

port, *words = sys.argv[1:]
if "bare" in words:
    route.for_messages = lambda app, on_message: on_message
settings = {"compression": True} if "deflate" in words else {}
if "pings" in words:
    settings["ping_interval"] = 25.0
app = create_app(user="user" in words, visits="visits" in words, teardown="teardown" in words, **settings)
WSGIServer(("127.0.0.1", int(port)), app, log=None, backlog=4096).serve_forever()
