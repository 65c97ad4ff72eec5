"""`wetread routes test DIR` says what would happen to a study, and why not."""

from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from node.cli import app
from node.config import Settings
from node.dicom.header import read_header
from node.errors import CannotUnderstand
from node.inbound import trial
from node.inbound.trial import try_routes
from node.model.job import Priority
from node.orders.book import OrderBook
from tests.node.dicom.test_request import ORDER
from tests.node.inbound.desk import STUDY, Desk
from tests.series import make_series, make_slice, write_series

SETTINGS = Settings.model_validate(
    {
        "routes": [
            {"name": "thin chest", "when": {"Modality": "CT", "KVP": {"min": 130}}, "pipeline": "lung-seg"},
            {"name": "chest", "when": {"Modality": "CT"}, "pipeline": "lung-seg"},
        ]
    }
)


def test_each_route_says_what_it_would_do_or_which_condition_is_missed_by_which_value(tmp_path):
    write_series(make_series((12, 8, 8), (2.0, 1, 1)), tmp_path / "ct")
    (tmp_path / "notes.txt").write_text("no image")
    thin, chest = try_routes(SETTINGS, tmp_path)
    assert not thin.makes_job
    assert list(thin.series.values()) == ["KVP is not within 130 to inf, it is 120"]
    assert chest.makes_job
    assert list(chest.series.values()) == [None]
    assert chest.answer.endswith("was read.")


def test_a_series_that_the_pipeline_would_refuse_says_so_by_name(tmp_path):
    write_series(make_series((2, 8, 8)), tmp_path / "ct")
    _, chest = try_routes(SETTINGS, tmp_path)
    assert "TooFewSlices" in chest.answer


def test_studies_are_told_apart(tmp_path):
    write_series(make_series((3, 8, 8), StudyInstanceUID="1.2.3.1"), tmp_path / "a")
    write_series(make_series((3, 8, 8), StudyInstanceUID="1.2.3.2", modality="MR"), tmp_path / "b")
    verdicts = list(try_routes(SETTINGS, tmp_path))
    assert [(v.study_uid, v.route, v.makes_job) for v in verdicts] == [
        ("1.2.3.1", "thin chest", False),
        ("1.2.3.1", "chest", True),
        ("1.2.3.2", "thin chest", False),
        ("1.2.3.2", "chest", False),
    ]


def test_what_else_a_route_asks_is_told(tmp_path):
    write_series(make_series((12, 8, 8), (2.0, 1, 1)), tmp_path / "ct")
    chest = {"name": "chest", "when": {"Modality": "CT"}, "pipeline": "lung-seg", "late": "never"}
    night = {"name": "night", "pipeline": "lung-seg", "after": "chest", "study": {"Modality": "MR"}}
    night["schedule"] = {"from": "20:00", "to": "06:00", "days": ["mon"]}
    chest, night = try_routes(Settings.model_validate({"routes": [chest, night]}), tmp_path)
    assert (chest.makes_job, chest.needs) == (True, ("late: never",))
    assert not night.makes_job
    missed, after, hours = night.needs
    assert missed == "study: Modality is not MR, it is CT"
    assert after == "after: it waits for the result of 'chest'"
    assert hours.startswith("schedule: 20:00 to 06:00, mon; open")


def test_a_folder_without_images_is_named(tmp_path):
    with pytest.raises(CannotUnderstand, match="no DICOM image"):
        list(try_routes(SETTINGS, tmp_path))


def test_the_command_line_shows_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WETREAD_CONFIG", raising=False)
    write_series(make_series((12, 8, 8), (2.0, 1, 1)), tmp_path / "ct")
    shown = CliRunner().invoke(app, ["routes", "test", str(tmp_path / "ct")])
    assert shown.exit_code == 0
    assert "route 'chest CT': a job for lung-seg" in shown.output
    assert "route 'head MR': no job" in shown.output
    assert "Modality is not MR, it is CT" in shown.output


def test_a_deflated_file_is_looked_into_only_where_the_door_would_take_it(tmp_path, monkeypatch):
    (small,) = make_series((1, 8, 8))
    bomb = make_slice(np.zeros((4000, 4000), np.int16), (0, 0, 0))
    for name, ds in (("small", small), ("bomb", bomb)):
        ds.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1.99"
        ds.save_as(tmp_path / name, enforce_file_format=True)
    read = []
    monkeypatch.setattr(trial, "read_header", lambda path: read.append(path.name) or read_header(path))
    assert len(list(try_routes(SETTINGS, tmp_path))) == 2
    assert read == ["small"]


@pytest.mark.parametrize("kept", [0, 132], ids=["no preamble, no prefix", "no file meta information"])
def test_a_file_that_could_be_deflated_unseen_is_passed_over_and_a_bare_dataset_is_not(tmp_path, kept):
    (ds,) = make_series((1, 8, 8))
    ds.save_as(tmp_path / "whole", enforce_file_format=True)
    whole = (tmp_path / "whole").read_bytes()
    (tmp_path / "whole").unlink()
    meta = 144 + int.from_bytes(whole[140:144], "little")
    (tmp_path / "one").write_bytes(whole[meta:] if kept else whole[132:])
    if kept:
        assert len(list(try_routes(SETTINGS, tmp_path))) == 2
    else:
        with pytest.raises(CannotUnderstand):
            list(try_routes(SETTINGS, tmp_path))


URGENT = {"Modality": "CT", "RequestedProcedurePriority": "STAT"}
ORDERED = Settings.model_validate(
    {
        "routes": [
            {"name": "urgent", "when": URGENT, "pipeline": "lung-seg"},
            {"name": "fixed", "when": URGENT, "pipeline": "lung-seg", "priority": "off-peak"},
            {"name": "other", "when": {"RequestedProcedureID": "RP-9"}, "pipeline": "lung-seg"},
            {"name": "whole", "study": {"ReasonForTheRequestedProcedure": "nodule"}, "pipeline": "lung-seg"},
        ]
    }
)


def try_ordered(tmp_path, order, **changes):
    """The verdicts by route for the study of ORDER, on a node that was told `order`."""
    settings = ORDERED.model_copy(update={"node": ORDERED.node.model_copy(update={"home": tmp_path / "home"})})
    if order is not None:
        OrderBook(settings.order_book).keep(order)
    write_series(make_series((12, 8, 8), (2.0, 1, 1), **changes), tmp_path / "ct")
    verdicts = {one.route: one for one in try_routes(settings, tmp_path / "ct")}
    assert settings.order_book.exists() == (order is not None)
    return verdicts


def test_what_the_order_of_the_study_says_is_matched_as_in_a_real_run(tmp_path):
    found = try_ordered(tmp_path, replace(ORDER, priority=Priority.STAT))
    assert [name for name, one in found.items() if one.makes_job] == ["urgent", "fixed"]
    assert found["urgent"].needs == ("order: one is kept; priority stat, by the order",)
    assert found["fixed"].needs == ("order: one is kept; priority off-peak, not by the order",)
    assert list(found["other"].series.values()) == [
        f"RequestedProcedureID is not RP-9, it is {ORDER.requested_procedure_id}"
    ]
    assert found["whole"].needs[0] == "study: ReasonForTheRequestedProcedure is not NODULE, it is COUGH"


def test_the_trial_and_a_real_run_come_to_the_same_with_an_order(tmp_path):
    routes = [route.model_dump(mode="json", by_alias=True, exclude_unset=True) for route in ORDERED.routes]
    (tmp_path / "desk").mkdir()
    with closing(Desk(tmp_path / "desk", routes)) as desk:
        OrderBook(desk.settings.order_book).keep(replace(ORDER, priority=Priority.STAT))
        images = make_series((12, 8, 8), (2.0, 1, 1), StudyInstanceUID=STUDY)
        write_series(images, tmp_path / "ct")
        tried = {one.route for one in try_routes(desk.settings, tmp_path / "ct") if one.makes_job}
        desk.send(images)
        desk.judge(11.0)
        assert {job.route for job in desk.ledger.find_jobs()} == tried == {"urgent", "fixed"}


def test_an_order_that_is_refused_says_why_and_adds_nothing(tmp_path):
    found = try_ordered(tmp_path, replace(ORDER, priority=Priority.STAT, patient_id="P-2"))
    assert not found["urgent"].makes_job
    assert found["urgent"].needs == ("order: OrderRefused: the order is of another Patient ID than the images",)
    assert "RequestedProcedurePriority is" in next(iter(found["urgent"].series.values()))


def test_a_node_without_orders_gets_no_book_by_a_trial(tmp_path):
    found = try_ordered(tmp_path, None)
    assert not found["urgent"].makes_job
    assert found["urgent"].needs == ()
