"""Which routes want a complete study: routes are data, keyed by DICOM keyword.

In:  a complete study.   Out: its jobs (one per route), or the reason why there are none.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

from pydicom import Dataset, dcmread

from node.config import Settings
from node.errors import CannotUnderstand
from node.inbound.conditions import find_mismatch
from node.inbound.schedule import find_opening
from node.model.job import Job, Priority, State
from node.model.study import Instance, Study
from node.model.uid import derive_key
from node.route_order import find_needed, order_routes
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


def digest_series(instances: Iterable[Instance]) -> dict[str, str]:
    """Series Instance UID -> a digest of its images: the same images make the same."""
    series: dict[str, list[str]] = {}
    for instance in instances:
        if instance.is_image:
            series.setdefault(instance.series_uid, []).append(f"{instance.sop_instance_uid} {instance.digest}")
    return {uid: derive_key("series", *sorted(images)) for uid, images in series.items()}


def match_study(
    study: Study,
    samples: Mapping[str, Dataset],
    callers: set[str],
    settings: Settings,
    at: float,
    evidence: str,
    digests: Mapping[str, str] = MappingProxyType({}),
) -> tuple[list[Job], str]:
    """The jobs of `study` (one per route that matches at least one series), each behind the one that it comes after;
    and why when there are none. digests: what digest_series says."""
    if not samples:
        return [], "no images: the study holds only objects that describe images"
    sources = {name for name, peer in settings.peers.items() if peer.ae_title in callers}
    jobs: list[Job] = []
    refusals = []
    for route in order_routes(settings.routes):
        if route.sources and not sources & set(route.sources):
            refusals.append(f"route {route.name!r}: not sent by {' or '.join(route.sources)}")
            continue
        if miss := find_study_mismatch(route, samples.values()):
            refusals.append(f"route {route.name!r}: {miss}")
            continue
        series = tuple(uid for uid, sample in samples.items() if find_mismatch(route.when, sample) is None)
        if series:
            inputs = derive_key("images", *(f"{uid} {digests.get(uid, '')}" for uid in sorted(series)))
            after = _find_after(study, route, jobs, settings.routes)
            jobs.append(_make_job(study, route, series, at, evidence, after, inputs))
        else:
            misses = {find_mismatch(route.when, sample) or "" for sample in samples.values()}
            refusals.append(f"route {route.name!r}: " + " / ".join(sorted(misses)))
    if jobs:
        return jobs, ""
    return [], "no matching route: " + ("; ".join(refusals) or "there are none")


def find_study_mismatch(route: Route, samples: Iterable[Dataset], quote: bool = False) -> str:
    """Why no series of a study meets all conditions of `study`, "" when one does; quote: with the images' values."""
    misses = [find_mismatch(route.study, sample, quote=quote) for sample in samples]
    if None in misses:
        return ""
    return "study: " + " / ".join(sorted({miss for miss in misses if miss}))


def _find_after(study: Study, route: Route, jobs: Iterable[Job], routes: list[Route]) -> str:
    """Id of the job that the one of `route` comes after: of the first such route that made one, else the id that it
    would have, so that the job says by name what it lacks."""
    needed = find_needed(route, routes)
    made = {job.route: job.id for job in jobs}
    found = [made[one.name] for one in needed if one.name in made]
    return found[0] if found else _name_job(study, needed[0]) if needed else ""


def _name_job(study: Study, route: Route) -> str:
    """The same study, version, route and pipeline always make the same job id, and so the same result uids."""
    return derive_key("job", study.study_uid, str(study.version), route.name, route.pipeline)


def _make_job(
    study: Study, route: Route, series: tuple[str, ...], at: float, evidence: str, after: str, inputs: str
) -> Job:
    manifest = get_manifest(route.pipeline)
    return Job(
        id=_name_job(study, route),
        study_uid=study.study_uid,
        series_uids=series,
        route=route.name,
        pipeline=route.pipeline,
        deliver=tuple(route.deliver),
        priority=route.priority or Priority.ROUTINE,
        tell=tuple(route.tell),
        lane=manifest.lane,
        version=study.version,
        state=State.QUEUED,
        attempt=0,
        token="",
        lease_until=0.0,
        reason="",
        notes=(evidence,) if "incomplete" in evidence else (),
        created_at=at,
        late=route.late,
        after=after,
        not_before=find_opening(route.schedule, at),
        inputs=inputs,
    )
