"""Where bundles are installed, and what the site lets them do: said once in a process, with its configuration."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Allowance:
    """What one bundle may. code: run Python of its own. memory_gb: address space of its process on the CPU."""

    code: bool = False
    memory_gb: float = 24.0


@dataclass(frozen=True, slots=True)
class Shelf:
    """folder: holds one folder NAME-VERSION a bundle; None where nothing was said. allowances: by name of pipeline."""

    folder: Path | None = None
    allowances: Mapping[str, Allowance] = field(default_factory=dict)

    def find_manifests(self) -> Iterator[Path]:
        """manifest.toml of every bundle on the shelf, lower versions first."""
        if self.folder is not None:
            yield from sorted(self.folder.glob("*/manifest.toml"), key=lambda path: _version(path.parent.name))

    def find_allowance(self, name: str) -> Allowance:
        """What the bundle of the pipeline `name` may."""
        return self.allowances.get(name, Allowance())


_shelf = Shelf()


def use_shelf(folder: Path | None, allowances: Mapping[str, Allowance] | None = None) -> None:
    """From now on the bundles in `folder` are installed, for this process."""
    global _shelf  # noqa: PLW0603  what is installed belongs to the process, as entry points do
    _shelf = Shelf(folder, dict(allowances or {}))


def get_shelf() -> Shelf:
    """The shelf in use."""
    return _shelf


def _version(folder: str) -> tuple[tuple[int, int, str], ...]:
    """ "spleen-0.10.0" after "spleen-0.9.1"."""
    parts = folder.replace("-", ".").split(".")
    return tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts)
