"""Which routes want a complete study: routes are data, keyed by DICOM keyword.

In:  a complete study.   Out: its jobs (one per route), or the reason why there are none.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from pydicom import Dataset, dcmread

from node.config import Settings
from node.errors import CannotUnderstand
from node.inbound.conditions import find_mismatch
from node.model.job import Job, State
from node.model.study import Instance, Study
from node.model.uid import derive_key
from node.sections import Route
from pipelines.terms import get_manifest


def read_samples(instances: Iterable[Instance], spool: Path) -> dict[str, Dataset]:
    """One header per image series, keyed by Series Instance UID: what conditions are tested on."""
    samples: dict[str, Dataset] = {}
    for instance in instances:
        if not instance.is_image or instance.series_uid in samples:
            continue
        try:
            samples[instance.series_uid] = dcmread(spool / instance.path, stop_before_pixels=True)
        except Exception as error:  # pydicom raises what the bytes provoke
            raise CannotUnderstand(f"instance {instance.sop_instance_uid} cannot be read back") from error
    return samples


def match_study(
    study: Study, samples: Mapping[str, Dataset], callers: set[str], settings: Settings, at: float, evidence: str
) -> tuple[list[Job], str]:
    """The jobs of `study` (one per route that matches at least one series), and why when there are none."""
    if not samples:
        return [], "no images: the study holds only objects that describe images"
    sources = {name for name, peer in settings.peers.items() if peer.ae_title in callers}
    jobs, refusals = [], []
    for route in settings.routes:
        if route.sources and not sources & set(route.sources):
            refusals.append(f"route {route.name!r}: not sent by {' or '.join(route.sources)}")
            continue
        series = tuple(uid for uid, sample in samples.items() if find_mismatch(route.when, sample) is None)
        if series:
            jobs.append(_make_job(study, route, series, at, evidence))
        else:
            misses = {find_mismatch(route.when, sample) or "" for sample in samples.values()}
            refusals.append(f"route {route.name!r}: " + " / ".join(sorted(misses)))
    if jobs:
        return jobs, ""
    return [], "no matching route: " + ("; ".join(refusals) or "there are none")


def _make_job(study: Study, route: Route, series: tuple[str, ...], at: float, evidence: str) -> Job:
    """The same study, version, route and pipeline always make the same job id, and so the same result uids."""
    manifest = get_manifest(route.pipeline)
    return Job(
        id=derive_key("job", study.study_uid, str(study.version), route.name, route.pipeline),
        study_uid=study.study_uid,
        series_uids=series,
        route=route.name,
        pipeline=route.pipeline,
        deliver=tuple(route.deliver),
        priority=route.priority,
        lane=manifest.lane,
        version=study.version,
        state=State.QUEUED,
        attempt=0,
        token="",
        lease_until=0.0,
        reason="",
        notes=(evidence,) if "incomplete" in evidence else (),
        created_at=at,
    )
