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
    """

    days_before: int
    load: Callable[[], Volume | None]


@dataclass(frozen=True, slots=True, eq=False)
class Context:
    """What else is known of a volume.

    priors: the newest study first.
    before: segment key -> what the pipeline found that this one comes after, on the very grid of this volume. Each
        mask is made when its key is asked for. Segments without a voxel are absent; all are where the grids differ.
    told: what the header of its series says it is; None where there is no header.
    """

    priors: tuple[PriorStudy, ...] = ()
    before: Mapping[str, Segment] = field(default_factory=dict)
    told: Told | None = None
