"""dcmtk: dsrdump reads a report as strictly as its IOD constrains content; dcmpschk looks at the values of a
presentation state, dcmp2pgm lays it over an image."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from tests.judges.programs import run

if TYPE_CHECKING:
    from tests.corpus import Exhibit


def dsrdump(path: Path) -> str:
    """The content tree of an SR as dcmtk prints it, whole texts; fails when dcmtk cannot read it."""
    done = run("dsrdump", "+Pl", path)
    assert done.returncode == 0, done.stderr
    return done.stdout


def dsrdump_errors(path: Path) -> list[str]:
    """What dsrdump complains of."""
    done = run("dsrdump", path)
    return _complaints(done.stderr, done.returncode)


def dcmpschk_errors(path: Path) -> list[str]:
    """What dcmpschk complains of, each complaint in one line."""
    done = run("dcmpschk", path)
    lines = [line.removeprefix("E:").strip() for line in (done.stdout + done.stderr).splitlines() if line[:2] == "E:"]
    complaints: list[str] = []
    for line in lines:
        if line.startswith("Error:") or not complaints:
            complaints.append(line)
        elif line.startswith("Affected attribute"):
            complaints[-1] += " " + line
    return complaints or _complaints(done.stdout + done.stderr, done.returncode)


def dcmp2pgm_errors(exhibit: "Exhibit") -> list[str]:
    """What keeps dcmp2pgm from showing the first image of the case through the presentation state."""
    with TemporaryDirectory() as folder:
        picture = Path(folder) / "picture.pgm"
        done = run("dcmp2pgm", "-p", exhibit.path, exhibit.case.stack.paths[0], picture)
        said = (done.stdout + done.stderr).strip().splitlines()
        return [] if done.returncode == 0 and picture.stat().st_size > 0 else said or ["no picture"]


def _complaints(said: str, status: int) -> list[str]:
    lines = [line for line in said.splitlines() if line.startswith(("E:", "F:", "Error"))]
    return lines or ([f"exit status {status}: {said.strip()[-200:]}"] if status else [])
