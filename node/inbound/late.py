"""What images do that come after a study was closed: route by route, whether the new version gets a job.

In:  the jobs that a complete study would have, and those that its earlier versions had.
Out: the jobs that it gets; and for each earlier job that stays the last word, why.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from node.errors import IncompleteStudy
from node.model.job import Job, Late, State
from node.model.uid import derive_key


@dataclass(slots=True)
class Settled:
    """jobs: those to make. remarks: id of an earlier job -> why it stays the last word of its route."""

    jobs: list[Job] = field(default_factory=list)
    remarks: dict[str, str] = field(default_factory=dict)

    @property
    def reason(self) -> str:
        """Why the study has no new job, "" when it has one or nothing was late."""
        return "" if self.jobs else "; ".join(self.remarks.values())


def settle_late(jobs: Sequence[Job], earlier: Sequence[Job], *, has_gone: bool = False) -> Settled:
    """`jobs` without those whose route has an answer already that stays: its images are the same, or it wants no other.

    jobs: of one version, each behind the one that it comes after. A job that comes after one that is left out comes
    after the earlier one of that route; one that comes after a new job is new too. An operator's word on an earlier job
    holds: where the images are the same, what was canceled or failed is not made again. has_gone: retention took images
    of the study: what is left of them would make less than there was.
    """
    settled, kept = Settled(), dict[str, str]()
    for wanted in jobs:
        after = kept.get(wanted.after, wanted.after)
        job = replace(wanted, after=after, inputs=derive_key("inputs", wanted.inputs, after))
        last = max(
            (one for one in earlier if one.route == job.route and one.version < job.version),
            key=lambda one: one.version,
            default=None,
        )
        why = "" if last is None or _is_void(last, settled.jobs, earlier) else _find_why(job, last, has_gone)
        if last is None or not why:
            settled.jobs.append(job)
            continue
        settled.remarks[last.id] = f"route {job.route!r}: {why}"
        kept[job.id] = last.id
    return settled


def _is_void(last: Job, jobs: Sequence[Job], earlier: Sequence[Job]) -> bool:
    """True for a job that cannot be the last word: it failed because its study was not complete, or it waits for one
    that `jobs` supersede before it has made anything."""
    if last.state == State.FAILED and last.reason.startswith(IncompleteStudy.__name__):
        return True
    replaced = {job.route for job in jobs if job.late == Late.REPLACE}
    waits = next((one for one in earlier if one.id == last.after), None) if last.state == State.QUEUED else None
    return waits is not None and waits.state in {State.QUEUED, State.CLAIMED} and waits.route in replaced


def _find_why(job: Job, last: Job, has_gone: bool) -> str:
    """Why `last` stays the last word, "" when it does not."""
    if job.inputs == last.inputs and job.pipeline == last.pipeline:
        return f"unchanged: late images are not among those of version {last.version}, its job stays"
    if has_gone:
        return f"late images came after the others were removed (keep.images); the job of version {last.version} stays"
    if job.late == Late.NEVER:
        return f'late images are kept, but make no new job (late = "never"); that of version {last.version} stays'
    return ""
