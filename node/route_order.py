"""Which routes come after which: `after` names a route, or the pipeline of one."""

from collections.abc import Sequence
from graphlib import CycleError, TopologicalSorter

from node.sections import Route


def find_needed(route: Route, routes: Sequence[Route]) -> list[Route]:
    """The routes that `route` comes after: the one that its `after` names, else all others of the pipeline that it
    names. Raises ValueError when there is none."""
    if not route.after:
        return []
    needed = [one for one in routes if one.name == route.after]
    needed = needed or [one for one in routes if one.pipeline == route.after and one.name != route.name]
    if not needed:
        raise ValueError(f"route {route.name!r}: after names {route.after!r}, which is no other route or its pipeline")
    return needed


def order_routes(routes: Sequence[Route]) -> list[Route]:
    """`routes` with each behind those that it comes after, else in their own order. Raises ValueError for a name that
    is none and for a circle."""
    named = {route.name: route for route in routes}
    graph = {route.name: [one.name for one in find_needed(route, routes)] for route in routes}
    try:
        return [named[name] for name in TopologicalSorter(graph).static_order()]
    except CycleError as error:
        raise ValueError(f"routes come after each other in a circle: {' after '.join(error.args[1])}") from None
