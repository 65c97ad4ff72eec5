"""dciodvfy of dicom3tools: every attribute of the IOD, its type, value and condition. Blind to SR templates."""

from pathlib import Path

from tests.judges.programs import run


def dciodvfy_errors(path: Path) -> list[str]:
    """The errors that dciodvfy finds in a file. Its exit status says nothing."""
    done = run("dciodvfy", "-new", path)
    lines = (done.stdout + done.stderr).splitlines()
    assert len(lines) > 0, "dciodvfy names at least the IOD"
    return [line for line in lines if line.startswith(("Error", "Abort"))]
