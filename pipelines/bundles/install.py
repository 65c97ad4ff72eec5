"""Putting a bundle on the shelf, and taking it off: unpacked, scanned and pinned, or not there at all."""

import hashlib
import json
import re
import shutil
import stat
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipelines.bundles.card import Card, Task, read_card
from pipelines.bundles.concepts import Concept, propose, read_concepts, write_concepts
from pipelines.bundles.lock import LOCK, check_lock, get_sha256, make_lock, read_lock, read_pinned
from pipelines.bundles.members import list_members
from pipelines.bundles.recipe import Recipe, make_recipe
from pipelines.bundles.refusal import record
from pipelines.bundles.scan import read_config, scan
from pipelines.bundles.unpack import unpack
from pipelines.bundles.ways import list_ways
from pipelines.errors import BundleDrift, BundleError, BundleUnreadable, UnknownPipeline
from pipelines.terms import Code, Manifest, Requires, find_manifests, read_manifest, write_manifest

BUNDLE, MANIFEST, CONCEPTS, CHOICES = "bundle", "manifest.toml", "concepts.toml", "choices.json"
INFERENCE, METADATA = "configs/inference.json", "configs/metadata.json"
PROCEDURES = {
    "CT": Code("25045-6", "LN", "CT unspecified body region"),
    "MR": Code("25056-3", "LN", "MRI unspecified body region"),
    "MG": Code("36625-2", "LN", "MG Breast Views"),
}
TIME_LIMIT_S = 3600
"""A detector takes a quarter of an hour on a CPU."""
UNKNOWN_PROCEDURE = Code("18748-4", "LN", "Diagnostic imaging study")
LIMITS = "Not a medical device. Primary reading, diagnosis or treatment decisions without verification."
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,40}")


@dataclass(frozen=True, slots=True, eq=False)
class Installed:
    """A bundle on the shelf, as its files say; nothing of it has been evaluated. lock: the text of the pins."""

    home: Path
    manifest: Manifest
    card: Card
    concepts: dict[str, Concept]
    choices: dict[str, Any]
    lock: str

    @property
    def folder(self) -> Path:
        return self.home / BUNDLE

    def make_recipe(self, *, trusted: bool) -> Recipe:
        """What of the configuration is run. Raises BundleError."""
        config = _read(self.folder, INFERENCE, read_lock(self.lock))
        if not trusted:
            scan(config)
        return make_recipe(config, self.card, self.choices, trusted=trusted)


def add_bundle(
    source: Path,
    shelf: Path,
    name: str = "",
    choices: dict[str, Any] | None = None,
    concepts: Path | None = None,
    *,
    trusted: bool = False,
) -> Manifest:
    """The bundle at `source`, a folder or a zip, under `shelf`/NAME-VERSION.

    name: of the pipeline; else from the name of folder or zip. choices: item of its configuration -> value instead of
    its own. concepts: a concepts.toml made before. trusted: the site has read its code, so it is not scanned.
    Raises BundleError; then nothing was installed, and the audit has a line.
    """
    shelf.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".adding-", dir=shelf) as place:
        try:
            return _add(source, Path(place), shelf, name or make_name(source), choices or {}, concepts, trusted)
        except BundleError as error:
            raise record(error, source, get_sha256(source) if source.is_file() else "") from None


def make_name(source: Path) -> str:
    """`spleen-ct-segmentation` of spleen_ct_segmentation_v0.5.9.zip."""
    stem = source.name.removesuffix(".zip")
    return re.sub(r"[^a-z0-9]+", "-", re.sub(r"[_-]v?\d+(\.\d+)+$", "", stem).lower()).strip("-")


def _add(
    source: Path, place: Path, shelf: Path, name: str, choices: dict[str, Any], concepts: Path | None, trusted: bool
) -> Manifest:
    if not NAME.fullmatch(name):
        raise BundleUnreadable(f"{name!r} is no name for a pipeline: letters, digits and hyphens; give one with --name")
    taken = find_manifests().get(name)
    if taken is not None and shelf not in taken.parents:
        raise BundleUnreadable(f"{name!r} is the name of another pipeline: give one with --name")
    home = place / "home"
    home.mkdir()
    unpack(source, home / BUNDLE)
    lock = make_lock(home / BUNDLE)
    (home / LOCK).write_text(lock, "utf-8")
    (home / CHOICES).write_text(json.dumps(choices), "utf-8")
    card = read_card(_read(home / BUNDLE, METADATA, read_lock(lock)))
    if concepts is not None:
        shutil.copyfile(concepts, home / CONCEPTS)
    else:
        write_concepts(propose(card), home / CONCEPTS)
    config = _read(home / BUNDLE, INFERENCE, read_lock(lock))
    if not trusted:
        scan(config)
    make_recipe(config, card, choices, trusted=trusted)
    manifest = _make_manifest(home, name, card)
    target = shelf / f"{name}-{card.version}"
    if target.exists():
        raise BundleUnreadable(f"{name} {card.version} is installed already; `wetread pipelines remove {name}` first")
    _close(home / BUNDLE)
    home.rename(target)
    return manifest


def _make_manifest(home: Path, name: str, card: Card) -> Manifest:
    """The manifest of the bundle in `home`, written beside it."""
    concepts, lacking = read_concepts(home / CONCEPTS, card)
    lock = (home / LOCK).read_text("utf-8")
    config = _read(home / BUNDLE, INFERENCE, read_lock(lock))
    kinds = dict.fromkeys(concept.kind for concept in concepts.values())
    flat = card.task is Task.CLASSIFICATION
    manifest = Manifest(
        name=name,
        version=card.version,
        title=card.title,
        manufacturer=card.authors or "unknown",
        requires=Requires(card.modality, min_planes=1 if flat else 3),
        gives=tuple(kinds),
        weights_sha256=find_digest(home),
        intended_use=card.description or card.title,
        not_for=f"{LIMITS} Its makers say: {card.intended_use}" if card.intended_use else LIMITS,
        procedure=PROCEDURES.get(card.modality, UNKNOWN_PROCEDURE),
        time_limit_s=TIME_LIMIT_S,
        lacks=lacking,
        explains=list_ways(card.task, config.get("network_def"), len(list_members(lock))),
    )
    write_manifest(manifest, home / MANIFEST)
    return manifest


def find_digest(home: Path) -> str:
    """What the manifest pins: the sha256 over the pins of all files, the concepts and the choices."""
    contents = [(home / part).read_bytes() for part in (LOCK, CONCEPTS, CHOICES)]
    return hashlib.sha256(b"\0".join(contents)).hexdigest()


def map_concepts(home: Path) -> Manifest:
    """The manifest anew after concepts.toml was edited; uids of later results change with it. Raises NeedsConcepts."""
    old = read_manifest(home / MANIFEST)
    card = read_card(_read(home / BUNDLE, METADATA, read_lock((home / LOCK).read_text("utf-8"))))
    new = _make_manifest(home, old.name, card)
    manifest = replace(new, requires=old.requires, lane=old.lane, time_limit_s=old.time_limit_s)
    write_manifest(manifest, home / MANIFEST)
    return manifest


def read_installed(home: Path) -> Installed:
    """The bundle installed in `home`. Raises BundleChanged when any of its files is not the one that was installed."""
    manifest = read_manifest(home / MANIFEST)
    lock = (home / LOCK).read_text("utf-8")
    if find_digest(home) != manifest.weights_sha256:
        raise BundleDrift(
            f"{CONCEPTS}, {CHOICES} or {LOCK} was edited: `wetread pipelines map {manifest.name}` takes that over"
        )
    check_lock(home / BUNDLE, lock)
    card = read_card(_read(home / BUNDLE, METADATA, read_lock(lock)))
    concepts, _ = read_concepts(home / CONCEPTS, card)
    choices = json.loads((home / CHOICES).read_text("utf-8"))
    return Installed(home, manifest, card, concepts, choices, lock)


def remove_bundle(name: str, shelf: Path) -> Path:
    """Takes the bundle `name` off the shelf. Raises UnknownPipeline when it is none of the shelf's."""
    manifest = find_manifests().get(name)
    if manifest is None or manifest.parent.parent != shelf:
        raise UnknownPipeline(f"no bundle {name!r} is installed under {shelf}")
    home = manifest.parent
    for path in [home, *home.rglob("*")]:
        if path.is_dir():
            path.chmod(path.stat().st_mode | stat.S_IWUSR)
    shutil.rmtree(home)
    return home


def _close(folder: Path) -> None:
    """Read-only, for whom that binds: root writes all the same, and the pins tell."""
    for path in sorted(folder.rglob("*"), reverse=True):
        path.chmod(0o555 if path.is_dir() else 0o444)
    folder.chmod(0o555)


def _read(folder: Path, name: str, pinned: dict[str, str]) -> dict[str, Any]:
    if name not in pinned:
        other = (
            ", only YAML, which is not read"
            if any(part.startswith(name.removesuffix("json")) for part in pinned)
            else ""
        )
        raise BundleDrift(f"{name} is not in the bundle{other}")
    return read_config(read_pinned(folder, name, pinned), Path(name).name)
