"""The function that Flask calls for a route. Never compiled: it is known by its code, and a compiled one has none."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from flask import current_app, request

if TYPE_CHECKING:
    from greenws.flaskext.route import Route


def make_view_function(route: Route) -> Callable[..., Any]:
    """Returns it."""

    def view(**values: Any) -> Any:
        asked = request._get_current_object()  # type: ignore[attr-defined]
        return current_app.extensions["greenws"].serve(route, values, asked)

    view.greenws_route = route  # type: ignore[attr-defined]
    return view


CODE = make_view_function(None).__code__  # type: ignore[arg-type]
