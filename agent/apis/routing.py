"""Finds the route of a request in the table of one API. Pure.

Every path is matched segment by segment, decoded once: a slash that a client has encoded stays inside its segment.
"""

from collections.abc import Mapping, Sequence
from urllib.parse import unquote

import msgspec

from agent.apis.face import ApiRoute

SEGMENT_CHARACTERS_MAX = 200
"""Of one decoded segment; no id of ours is longer."""


class Found(msgspec.Struct, frozen=True):
    """What a table has for a path.

    Attributes:
        route: The route of the method; `None` where the table has none.
        parameters: The segments that stand in braces in the route.
        allowed: The methods that the table has for the path; empty for an unknown path.
        is_open: The route needs no credential, or the path has open routes only, which a wrong method may learn.
    """

    route: ApiRoute | None = None
    parameters: Mapping[str, str] = {}
    allowed: tuple[str, ...] = ()
    is_open: bool = False


def find_route(routes: Sequence[ApiRoute], method: str, path: str) -> Found:
    """Return what a table has for a request.

    Args:
        routes: The table. Of two routes that fit, the first counts.
        method: The HTTP method.
        path: What follows the prefix, still encoded.
    """
    segments = [unquote(each) for each in path.split("/")]
    fitting = [(route, parameters) for route in routes if (parameters := _parameters(route.path, segments)) is not None]
    are_open = bool(fitting) and all(route.is_open for route, _ in fitting)
    allowed = tuple(dict.fromkeys(route.method for route, _ in fitting))
    for route, parameters in fitting:
        if route.method == method:
            return Found(route, parameters, allowed, route.is_open)
    return Found(None, {}, allowed, are_open)


def _parameters(pattern: str, segments: Sequence[str]) -> Mapping[str, str] | None:
    """Return the parameters of a path that fits a pattern; `None` for one that does not."""
    parts = pattern.split("/")
    if len(parts) != len(segments):
        return None
    found = {}
    for part, segment in zip(parts, segments, strict=True):
        if part.startswith("{"):
            if not 0 < len(segment) <= SEGMENT_CHARACTERS_MAX:
                return None
            found[part[1:-1]] = segment
        elif part != segment:
            return None
    return found
