"""Which things in CT are denser than soft tissue without contrast ever is, and what that says of them."""

from collections.abc import Mapping

from pipelines.terms import Note

DENSE_HU = 120.0
"""A mean above it is that of calcium, or of contrast agent in vessels."""


def note_dense(means: Mapping[str, float]) -> list[Note]:
    """A warning that names those of `means` (name -> mean HU) which are likelier vessels or calcified than nodules."""
    names = [name for name, mean in means.items() if mean > DENSE_HU]
    if not names:
        return []
    listed = f"{', '.join(names[:-1])} and {names[-1]} are" if len(names) > 1 else f"{names[0]} is"
    return [
        Note(f"{listed} denser than {DENSE_HU:.0f} HU on average: likelier vessels full of contrast, or calcified.")
    ]
