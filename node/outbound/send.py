"""A folder of DICOM files to an application entity, as a scanner would send it: for test sends and the demo."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from pydicom.misc import is_dicom

from node.outbound.answers import Answer
from node.outbound.store import MAX_CONTEXTS, associate, make_contexts, read_kind, store_file

Tell = Callable[[Path, Answer], None]


@dataclass(slots=True)
class Sent:
    """What became of the files: numbers and, for those not taken, why."""

    taken: int = 0
    refused: list[tuple[Path, str]] = field(default_factory=list)


def find_files(place: Path) -> tuple[list[Path], list[Path]]:
    """(DICOM Part 10 files, others) at `place`, a file or a folder with all below it; sorted by name."""
    paths = sorted(path for path in place.rglob("*") if path.is_file()) if place.is_dir() else [place]
    dicom = [path for path in paths if is_dicom(path) and path.name.upper() != "DICOMDIR"]
    known = set(dicom)
    return dicom, [path for path in paths if path not in known]


def send_files(paths: Sequence[Path], our_title: str, address: tuple[str, int], title: str, tell: Tell) -> Sent:
    """Sends `paths` over as few associations as their presentation contexts allow; `tell` hears of every file.

    Raises PeerUnreachable when there is no association.
    """
    sent = Sent()
    for group in _group(paths):
        contexts = make_contexts([read_kind(path) for path in group])
        with associate(our_title, address, title, contexts) as association:
            for path in group:
                answer = store_file(association, path)
                if answer.is_success:
                    sent.taken += 1
                else:
                    sent.refused.append((path, str(answer)))
                tell(path, answer)
    return sent


def _group(paths: Sequence[Path]) -> Iterator[list[Path]]:
    """Groups that fit the presentation contexts of one association (two per kind)."""
    kinds: dict[tuple[str, str], list[Path]] = {}
    for path in paths:
        kinds.setdefault(read_kind(path), []).append(path)
    groups = iter(kinds.values())
    while some := list(islice(groups, MAX_CONTEXTS // 2)):
        chosen = {path for group in some for path in group}
        yield [path for path in paths if path in chosen]
