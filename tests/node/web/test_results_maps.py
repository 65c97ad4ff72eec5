"""A result's maps lie over its images where they were computed, when they are asked for."""

from dataclasses import replace

import numpy as np
import pytest

from node.model.delivery import Kind
from node.web.results.page import View, read_view
from pipelines.terms import Code, ScalarMap
from tests.node.web.results_house import SHAPE, House, make_answer, make_ball, make_images
from tests.results import SAGITTAL

SALIENCY = Code("130404", "DCM", "Saliency")
NO_UNITS = Code("1", "UCUM", "no units")
K = 4
PLACE = (slice(4, 12), slice(34, 50))
"""Off the middle, and off what is segmented."""


def make_map(values, key="gradients"):
    return ScalarMap(key, f"Saliency ({key})", values, SALIENCY, NO_UNITS)


def make_values():
    values = np.zeros(SHAPE, np.float32)
    values[(K, *PLACE)] = 0.5
    return values


@pytest.fixture(scope="module", params=[{}, {"orientation": SAGITTAL}], ids=["axial", "sagittal"])
def shown(request, tmp_path_factory):
    house, mask = House(tmp_path_factory.mktemp("maps")), make_ball()
    job, (stack,) = house.keep(make_images(mask, **request.param))
    result = replace(make_answer(mask), maps=(make_map(make_values()), make_map(make_values() * 0, "occlusion")))
    return house, f"/results/{house.finish(job, stack, result, objects=('segmentation', 'report', 'map'))}"


def look(shown, k, query=""):
    house, address = shown
    return house.picture(f"{address}/slice/{k}.png?overlay=off{query}")


def find_slice(shown):
    """The slice, from 1, on which the map is to be seen, and where it differs from the image."""
    found = {}
    for k in range(1, SHAPE[0] + 1):
        change = np.abs(look(shown, k, "&map=1") - look(shown, k)).max(axis=2) > 20
        if change.any():
            found[k] = change
    ((k, change),) = found.items()
    return k, change


def test_a_map_is_seen_on_its_slice_at_its_place_and_nowhere_else(shown):
    k, change = find_slice(shown)
    assert k in (K + 1, SHAPE[0] - K)
    rows, columns = np.nonzero(change)
    place = [(n.min() / size * of, (n.max() + 1) / size * of)
             for n, size, of in ((rows, change.shape[0], SHAPE[1]), (columns, change.shape[1], SHAPE[2]))]  # fmt: skip
    for (low, high), wanted in zip(place, PLACE, strict=True):
        assert abs(low - wanted.start) < 1.5
        assert abs(high - wanted.stop) < 1.5
    warm = look(shown, k, "&map=1")[change]
    assert warm[:, 0].mean() > warm[:, 2].mean() + 60


def test_none_is_shown_unless_it_is_asked_for(shown):
    k, _ = find_slice(shown)
    house, address = shown
    assert np.array_equal(look(shown, k), look(shown, k, "&map=0"))
    assert np.array_equal(look(shown, k), look(shown, k, "&map=2"))  # a map of nothing is no color
    page = house.get(address).text
    assert '<option value="0">none</option>' in page
    assert "Saliency (gradients), 0 to 0.5" in page
    assert '<option value="1" selected>' in house.get(f"{address}?map=1").text
    assert f"slice/{k}.png?map=1&amp;v=" in house.get(f"{address}?slice={k}&map=1").text


def test_a_map_that_is_none_is_not_found(shown):
    house, address = shown
    assert house.get(f"{address}/slice/1.png?map=3").status_code == 404
    assert "there are maps 1 to 2" in house.get(f"{address}/slice/1.png?map=3").text
    assert house.get(f"{address}/slice/1.png?map=x").status_code == 400


def test_a_result_without_maps_has_no_choice_of_them(tmp_path):
    house, mask = House(tmp_path), make_ball()
    job, (stack,) = house.keep(make_images(mask))
    address = f"/results/{house.finish(job, stack, make_answer(mask))}"
    assert 'name="map"' not in house.get(address).text
    assert house.get(f"{address}/slice/1.png?map=1").status_code == 404


def test_a_map_that_is_gone_or_damaged_is_said(tmp_path):
    house, mask = House(tmp_path), make_ball()
    job, (stack,) = house.keep(make_images(mask))
    result = replace(make_answer(mask), maps=(make_map(make_values()),))
    job_id = house.finish(job, stack, result, objects=("segmentation", "report", "map"))
    (one,) = [one for one in house.ledger.find_objects(job_id) if one.kind == Kind.MAP]
    path = house.settings.outbox / one.path
    path.write_bytes(path.read_bytes()[:2000])
    assert house.get(f"/results/{job_id}").status_code in (404, 500)
    path.unlink()
    assert house.get(f"/results/{job_id}").status_code == 200


def test_where_a_map_has_no_value_there_is_no_color_and_the_choice_says_so(tmp_path):
    house, mask = House(tmp_path), make_ball()
    job, (stack,) = house.keep(make_images(mask))
    values = make_values() + 1
    lacking = values.copy()
    lacking[(K, *PLACE)] = -1
    maps = (make_map(values, "whole"), replace(make_map(lacking, "lacking"), nothing=-1.0))
    result = replace(make_answer(mask), maps=maps)
    address = f"/results/{house.finish(job, stack, result, objects=('segmentation', 'report', 'map'))}"
    assert "Saliency (lacking), 0 to 1; no color where there is no value, too" in house.get(address).text
    assert "Saliency (whole), 0 to 1.5<" in house.get(address).text
    colored = {}
    for k in range(1, SHAPE[0] + 1):
        plain, *warm = (house.picture(f"{address}/slice/{k}.png?overlay=off&map={n}") for n in (0, 1, 2))
        colored[k] = [(np.abs(one - plain).max(axis=2) > 20).mean() for one in warm]
    whole, shown = zip(*colored.values(), strict=True)
    assert min(whole) > 0.9
    share = 8 * 16 / (SHAPE[1] * SHAPE[2])
    assert sorted(shown)[0] == pytest.approx(sorted(shown)[1] - share, abs=0.03)


def test_the_view_keeps_its_map():
    assert read_view({"map": "2"}) == View(map=2)
    assert View(map=2).to_query(slice=3) == "slice=3&map=2"
