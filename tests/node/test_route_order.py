"""`after` names a route or a pipeline; names that are none, and circles, stop the start."""

import pytest
from pydantic import ValidationError

from node.config import Settings
from node.route_order import find_needed, order_routes

BRAIN = {"name": "brain", "pipeline": "brain-extract"}
LUNG = {"name": "lung", "pipeline": "lung-seg"}


def make_routes(*routes):
    return Settings.model_validate({"routes": list(routes)}).routes


def test_routes_come_behind_those_that_they_come_after():
    routes = make_routes(LUNG | {"after": "brain"}, BRAIN)
    assert [route.name for route in order_routes(routes)] == ["brain", "lung"]
    assert [route.name for route in find_needed(routes[0], routes)] == ["brain"]


def test_without_after_they_keep_their_order():
    assert [route.name for route in order_routes(make_routes(LUNG, BRAIN))] == ["lung", "brain"]


def test_a_pipeline_may_be_named_instead_and_means_every_other_route_of_it():
    routes = make_routes(LUNG | {"after": "brain-extract"}, BRAIN, BRAIN | {"name": "brain of a child"})
    assert [route.name for route in find_needed(routes[0], routes)] == ["brain", "brain of a child"]


@pytest.mark.parametrize("name", ["heart", "lung", "lung-seg"])
def test_a_name_that_is_none_stops_the_start(name):
    with pytest.raises(ValidationError, match="after"):
        make_routes(LUNG | {"after": name}, BRAIN)


def test_a_circle_stops_the_start():
    with pytest.raises(ValidationError, match="circle"):
        make_routes(LUNG | {"after": "brain"}, BRAIN | {"after": "lung"})
