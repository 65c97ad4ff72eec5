"""An installed bundle as a Pipeline."""

from pathlib import Path

from pipelines.bundles.install import read_installed
from pipelines.bundles.model import BundleModel
from pipelines.bundles.refusal import record
from pipelines.errors import BundleError, NeedsConcepts
from pipelines.terms import Manifest, get_shelf, read_manifest


class BundlePipeline:
    """See pipelines.pipeline.Pipeline. home: the folder NAME-VERSION on the shelf."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self.manifest: Manifest = read_manifest(home / "manifest.toml")

    def load(self, device: str) -> BundleModel:
        """Every file checked against its pin, the configuration scanned, then the bundle loaded in its own process.

        Raises NeedsConcepts while an output has no concept; BundleChanged, BundleRefused, BundleUntrusted, BundleDrift.
        """
        return self._load(device, sparing=False)

    def load_sparing(self, device: str) -> BundleModel:
        """As load, with smaller windows (pipelines.bundles.sparing)."""
        return self._load(device, sparing=True)

    def _load(self, device: str, *, sparing: bool) -> BundleModel:
        name = self.manifest.name
        allowance = get_shelf().find_allowance(name)
        if self.manifest.lacks:
            raise NeedsConcepts(
                f"{', '.join(map(repr, self.manifest.lacks))} of {name}: no coded concept: write them into "
                f"{self._home / 'concepts.toml'}, then `wetread pipelines map {name}`"
            )
        try:
            installed = read_installed(self._home)
            installed.make_recipe(trusted=allowance.code)
        except BundleError as error:
            raise record(error, self._home, self.manifest.weights_sha256) from None
        return BundleModel(installed, device, trusted=allowance.code, memory_gb=allowance.memory_gb, sparing=sparing)
