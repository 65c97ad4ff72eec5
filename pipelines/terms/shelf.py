"""Where bundles are installed, and what the site lets them do: said once in a process, with its configuration."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Shelf:
    """folder: holds one folder NAME-VERSION a bundle; None where nothing was said. trusted: names of pipelines whose
    bundles may run code of their own. memory_gb: address space of a bundle's process on the CPU."""

    folder: Path | None = None
    trusted: frozenset[str] = frozenset()
    memory_gb: float = 24.0

    def find_manifests(self) -> Iterator[Path]:
        """manifest.toml of every bundle on the shelf, lower versions first."""
        if self.folder is not None:
            yield from sorted(self.folder.glob("*/manifest.toml"), key=lambda path: _version(path.parent.name))


_shelf = Shelf()


def use_shelf(folder: Path | None, trusted: Iterable[str] = (), memory_gb: float = 24.0) -> None:
    """From now on the bundles in `folder` are installed, for this process."""
    global _shelf  # noqa: PLW0603  what is installed belongs to the process, as entry points do
    _shelf = Shelf(folder, frozenset(trusted), memory_gb)


def get_shelf() -> Shelf:
    """The shelf in use."""
    return _shelf


def _version(folder: str) -> tuple[tuple[int, int | str], ...]:
    """ "spleen-0.10.0" after "spleen-0.9.1"."""
    return tuple((0, int(part)) if part.isdigit() else (1, part) for part in folder.replace("-", ".").split("."))
