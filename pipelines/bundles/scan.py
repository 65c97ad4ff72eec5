"""The static scan: a configuration is read as data and looked through before MONAI parses any of it.

What is evaluated is only what inference needs (pipelines.bundles.recipe picks it); the scan looks at the whole file
all the same, since a bundle that asks for `os.system` anywhere is no bundle to run.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from pipelines.bundles.expressions import check_expression
from pipelines.errors import BundleDrift, BundleRefused

TARGETS = re.compile(
    r"""
    [A-Z]\w*
    | monai\.(networks\.(nets | blocks | layers) | transforms | inferers | apps\.detection | handlers | engines | data)
        (\.[a-z]\w*)*\.[A-Z]\w*
    | torch\.nn\.[A-Z]\w* | torch\.device | ignite\.metrics\.[A-Z]\w*
    | scripts(\.\w+)+
    """,
    re.VERBOSE,
)
"""What `_target_` may name: a class of MONAI by its bare name or its full one. Where MONAI found it is asked once more
when it is made (pipelines.bundles.program)."""
NEVER = {"PersistentDataset", "LMDBDataset", "MLFlowHandler", "ConfigWorkflow", "PythonicWorkflow", "TrtHandler"}
"""Classes of MONAI that call, fetch, cache or report what they are given."""
MOST_BYTES = 4 << 20
MOST_ITEMS = 20_000


def read_config(content: bytes, name: str) -> dict[str, Any]:
    """The JSON object `content` of the file `name`. Raises BundleRefused for what is too large, BundleDrift for no
    JSON object."""
    if len(content) > MOST_BYTES:
        raise BundleRefused(f"{name} has {len(content)} bytes")
    try:
        data = json.loads(content)
    except (ValueError, RecursionError) as error:
        said = str(error) if isinstance(error, json.JSONDecodeError) else type(error).__name__
        raise BundleDrift(f"{name} is no JSON: {said}") from error
    if not isinstance(data, dict):
        raise BundleDrift(f"{name} holds no JSON object")
    return data


def scan(config: dict[str, Any]) -> None:
    """Raises BundleRefused, naming the place and what is there, unless every `_target_`, `$` expression and `%` macro
    of `config` is of a kind that cannot do harm."""
    for number, (place, key, value) in enumerate(walk(config)):
        if number > MOST_ITEMS:
            raise BundleRefused(f"more than {MOST_ITEMS} items")
        try:
            _check(key, value)
        except BundleRefused as error:
            raise BundleRefused(f"{place}: {error}") from None


def _check(key: str, value: Any) -> None:
    if key == "_target_":
        check_target(value)
    elif key == "_mode_" and value not in {"default", "callable"}:
        raise BundleRefused(f"mode {value!r}")
    elif isinstance(value, str) and value.startswith("$"):
        check_expression(value[1:])
    elif isinstance(value, str) and value.startswith("%") and not re.fullmatch(r"%[\w#:]+", value):
        raise BundleRefused(f"{value[:80]!r} includes another file")


def check_target(target: Any) -> None:
    """Raises BundleRefused unless `_target_` is the name of a harmless class."""
    if not isinstance(target, str) or not TARGETS.fullmatch(target):
        raise BundleRefused(f"_target_ {str(target)[:80]!r} is not on the list of what a configuration may make")
    if target.rpartition(".")[2] in NEVER:
        raise BundleRefused(f"_target_ {target!r} is on the list of what no configuration may make")


def walk(config: Any, place: str = "", key: str = "") -> Iterator[tuple[str, str, Any]]:
    """(place, key, value) of every leaf, "network_def#spatial_dims" and so on."""
    if isinstance(config, dict):
        for name, value in config.items():
            yield from walk(value, f"{place}#{name}".lstrip("#"), str(name))
    elif isinstance(config, list):
        for index, value in enumerate(config):
            yield from walk(value, f"{place}#{index}")
    else:
        yield place, key, config


def find_scripts(config: Any) -> list[str]:
    """What in `config` is code that the bundle brings itself."""
    return [
        str(value)
        for _, key, value in walk(config)
        if (key == "_target_" and str(value).startswith("scripts."))
        or (isinstance(value, str) and re.match(r"\$.*\bscripts\b", value))
    ]
