"""Takes a connection from the WSGI server that runs us."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from greenws.errors import UnsupportedServer
from greenws.server.upgrade import Upgrade

KEY = "greenws.upgrade"

_HELP = (
    "this server cannot hand a WebSocket over. Run the application with `greenws run module:app`, with "
    "`gunicorn -k greenws.server.gunicorn.GreenWorker module:app`, or on greenws.server.WSGIServer."
)


def claim(environ: Mapping[str, Any]) -> Upgrade:
    """Returns what hands the request's connection over once the application has agreed to the upgrade.

    Raises:
        UnsupportedServer: the server has no way to do that.
    """
    upgrade = environ.get(KEY)
    if not isinstance(upgrade, Upgrade):
        raise UnsupportedServer(_HELP)
    return upgrade
