"""Several sets of weights of one network in a bundle: the folds of one training, pinned as all its files are."""

import re

from pipelines.bundles.lock import read_lock

MEMBER = re.compile(r"models/model_fold(\d{1,3})\.(pt|safetensors)")


def list_members(lock: str) -> tuple[str, ...]:
    """The paths of the sets of weights in the pins of a bundle, in order of their number; () where there are fewer than
    two. Of a set that is there twice, as safetensors too, one path."""
    found: dict[int, str] = {}
    for path in sorted(read_lock(lock)):
        if match := MEMBER.fullmatch(path):
            found.setdefault(int(match[1]), path)
    return tuple(found[number] for number in sorted(found)) if len(found) > 1 else ()
