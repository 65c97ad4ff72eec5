"""The demo's tables."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from node.demo.review import STATIONS, Review
from node.dicom.wording import format_number, format_unit
from node.tables import COLORS
from pipelines.terms import Code


def make_findings(reviews: Sequence[Review], truth: Mapping[str, Mapping[str, float]]) -> Table:
    """Findings as the PACS can read them from the SR; beside a measured volume, the true one where we made the patient.

    truth: study uid -> laterality in lower case -> mL.
    """
    table = Table("Pipeline", "Finding", "Measured", "Value", title="Findings read from the SR at the PACS", box=None)
    with_truth = bool(truth)
    if with_truth:
        table.add_column("True", justify="right")
    for review in reviews:
        known = truth.get(review.job.study_uid, {})
        for finding in review.findings:
            _add_finding(table, review.job.pipeline, finding, known if with_truth else None)
    return table


def make_seconds(reviews: Sequence[Review]) -> Table:
    """Seconds per station and the state that each job reached, a column a job."""
    table = Table("", title="Seconds per station", box=None)
    for review in reviews:
        table.add_column(review.job.pipeline, justify="right")
    for station in STATIONS:
        values = [f"{review.seconds[station]:.2f}" if station in review.seconds else "" for review in reviews]
        if any(values):
            table.add_row(station, *values)
    states = [Text(review.job.state.value, COLORS.get(review.job.state.value, "")) for review in reviews]
    table.add_row("state", *states)
    return table


def _add_finding(table: Table, pipeline: str, finding: Mapping[str, Any], known: Mapping[str, float] | None) -> None:
    side = _meaning(finding["laterality"])
    name = f"{side} {_meaning(finding['finding'])}".strip()
    if finding["absent"]:
        table.add_row(pipeline, name, "", "absent")
    for said in finding["evaluations"]:
        table.add_row(pipeline, name, _meaning(said["concept"]), Text(_meaning(said["value"])))
    for measurement in finding["measurements"]:
        concept = _meaning(measurement["concept"])
        shown = f"{_meaning(measurement['derivation'])} {concept}".strip()
        row: list[str | Text] = [pipeline, name, shown, Text(_say(measurement))]
        if known is not None:
            true = known.get(side.lower())
            row.append(f"{true:.1f}" if concept == "Volume" and true is not None else "")
        table.add_row(*row)


def _say(measurement: Mapping[str, Any]) -> str:
    """Value and unit as on the result's page."""
    if measurement["value"] is None:
        return "not obtained"
    unit = format_unit(Code(**measurement["unit"])) if measurement["unit"] else ""
    return f"{format_number(measurement['value'])} {unit}".rstrip()


def _meaning(code: Mapping[str, str] | None) -> str:
    return code["meaning"] if code else ""
