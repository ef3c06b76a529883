"""A progress feed: a background greenlet pushes, and the page draws what comes.

Run it with ``greenws run examples.progress:app`` or ``python examples/progress.py``, then open
http://127.0.0.1:8000/. Closing the page ends the work: a greenlet started with ``conn.spawn`` ends with its connection.
"""

if __name__ == "__main__":  # before the other imports, so that they get gevent's sockets and locks
    from gevent import monkey

    monkey.patch_all()

from collections.abc import Iterator

import gevent
from flask import Flask

from greenws import Connection, Endpoint, GreenWS

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>Progress</title>
<style>
  body { font: 1.2rem system-ui, sans-serif; margin: 4rem auto; width: min(30rem, 90%) }
  progress { width: 100% }
</style>
<h1>Progress</h1>
<p><label for="bar">The job</label> <span id="words" role="status">waits</span></p>
<progress id="bar" max="100" value="0"></progress>
<script>
  const [bar, words] = [document.getElementById("bar"), document.getElementById("words")];
  const socket = new WebSocket(`${location.protocol.replace("http", "ws")}//${location.host}/progress`);
  socket.onopen = () => { words.textContent = "is under way"; };
  socket.onmessage = ({ data }) => { bar.value = JSON.parse(data).percent; };
  socket.onclose = ({ code }) => { words.textContent = code === 1000 ? "is done" : "has lost its connection"; };
</script>
"""

app = Flask(__name__)
ws = GreenWS(app)


@app.get("/")
def page() -> str:
    """The page that shows the feed."""
    return PAGE


@ws.route("/progress")
class Progress(Endpoint):
    """Starts the work when somebody watches."""

    def on_open(self, conn: Connection) -> None:
        """Returns at once. The first message waits until the answer to the upgrade has left."""
        conn.spawn(push, conn)


def push(conn: Connection) -> None:
    """Runs beside the connection and ends with it, at whatever line it is."""
    for percent in work():
        conn.send_json({"percent": percent})
    conn.close(1000, "done")


def work() -> Iterator[int]:
    """Stands for a slow job: yields how much of it is done, in percent."""
    for percent in range(1, 101):
        gevent.sleep(0.05)
        yield percent


if __name__ == "__main__":
    from greenws.server import WSGIServer

    WSGIServer(("127.0.0.1", 8000), app).serve_forever()
