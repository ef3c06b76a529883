"""Takes a connection from the WSGI server that runs us."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from greenws.errors import UnsupportedServer
from greenws.server.stock import StockUpgrade, find_upgrade
from greenws.server.upgrade import Upgrade

KEY = "greenws.upgrade"

_HELP = (
    "this server cannot hand a WebSocket over. Run the application with `greenws run module:app`, with "
    "`gunicorn -k greenws.server.gunicorn.GreenWorker module:app`, or on greenws.server.WSGIServer."
)

HandOver: TypeAlias = Upgrade | StockUpgrade


def claim(environ: Mapping[str, Any]) -> HandOver:
    """Returns what hands the request's connection over once the application has agreed to the upgrade.

    Raises:
        UnsupportedServer: the server has no way to do that.
    """
    upgrade = environ.get(KEY)
    if isinstance(upgrade, Upgrade):
        return upgrade
    stock = find_upgrade(environ)
    if stock is None:
        raise UnsupportedServer(_HELP)
    return stock
