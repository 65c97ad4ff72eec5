"""What a pipeline may know beside the volume it reads: earlier studies of the patient, and what was found before it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pipelines.terms.kind import Told
from pipelines.terms.result import Segment
from pipelines.terms.volume import Volume


@dataclass(frozen=True, slots=True, eq=False)
class PriorStudy:
    """An earlier study of the same patient.

    days_before: by how many days it is older than this one; 0 on the same day. Neither date is told.
    load: reads its images, anew at every call, and gives the volume that suits the pipeline, on a grid of its own and
        in a frame of reference of its own; None where no series suits. Nothing is read that is not asked for.
    before: what the pipeline that this one comes after finds in it, segment key -> segment on the grid of load(), after
        load() gave one; None where that is not known, which is not the same as nothing found.
    """

    days_before: int
    load: Callable[[], Volume | None]
    before: Callable[[], Mapping[str, Segment] | None] = lambda: None


@dataclass(frozen=True, slots=True, eq=False)
class Context:
    """What else is known of a volume.

    priors: the newest study first.
    before: segment key -> what the pipeline found that this one comes after, on the very grid of this volume. Each
        mask is made when its key is asked for. Segments without a voxel are absent; all are where the grids differ.
    is_complete: that is all that it found; False where there is more, where it could not be handed on, or where this
        pipeline comes after none.
    told: what the header of its series says it is; None where there is no header.
    """

    priors: tuple[PriorStudy, ...] = ()
    before: Mapping[str, Segment] = field(default_factory=dict)
    is_complete: bool = False
    told: Told | None = None
