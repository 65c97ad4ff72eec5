"""Which viewer it is: one version of npm's @ohif/app (MIT), every byte of it, and what of it is needed."""

import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

NAME = "@ohif/app"
VERSION = "3.13.2"
INTEGRITY = "sha512-WZdxmpmG7rqFgW9ZJLcbgr3XCtLi1KDNPoMaeY5PPe6j4G4fjEjjkycZM6C6Zk2F87BKxFfpq+jd5xXZB9E8EA=="
"""As npm says it of the package's archive (Subresource Integrity 3.1)."""

MOST_BYTES = 100_000_000
"""Of an archive: that of this version has 50 million."""

REGISTRY = "https://registry.npmjs.org"
ROOT = "package/dist/"
LICENSE = "package/LICENSE"
KINDS = frozenset({".js", ".css", ".wasm", ".woff2", ".svg"})
UNUSED = frozenset(
    {
        "app-config.js",  # we say what it is
        "es6-shim.min.js", "google.js", "init-service-worker.js", "oidc-client.min.js", "polyfill.min.js",
    }
)  # fmt: skip


def find_wanted(member: str) -> str:
    """Under which name a file of the archive is kept; "" for what we do without: the neural networks of its
    annotation tools (140 of 204 MB), the viewer for microscopy, source maps, icons of telephones, examples."""
    if member == LICENSE:
        return "LICENSE"
    path = PurePosixPath(member.removeprefix(ROOT))
    if not member.startswith(ROOT) or ".." in path.parts:
        return ""
    at_top = len(path.parts) == 1 and path.suffix in KINDS and path.name not in UNUSED
    picture = path.parts[:2] == ("assets", "images") or str(path) == "assets/favicon.ico"
    return str(path) if at_top or picture else ""


def find_address(environment: Mapping[str, str] = os.environ) -> str:
    """Where npm would get the archive: its configuration for the scope @ohif counts, else that for all packages, from
    the environment or the user's .npmrc. Passwords and tokens are not read."""
    said = _read_file(environment) | _read_environment(environment)
    registry = said.get("@ohif:registry") or said.get("registry") or REGISTRY
    return f"{registry.rstrip('/')}/{NAME}/-/app-{VERSION}.tgz"


def _read_environment(environment: Mapping[str, str]) -> dict[str, str]:
    names = {name.lower(): value for name, value in environment.items()}
    keys = ("registry", "@ohif:registry")
    return {key: names[f"npm_config_{key}"] for key in keys if names.get(f"npm_config_{key}")}


def _read_file(environment: Mapping[str, str]) -> dict[str, str]:
    names = {name.lower(): value for name, value in environment.items()}
    path = Path(names.get("npm_config_userconfig") or Path(names.get("home") or "/") / ".npmrc")
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return {}
    pairs = (line.partition("=") for line in lines)
    said = {key.strip(): value.strip().strip("\"'") for key, _, value in pairs}
    return {key: said[key] for key in ("registry", "@ohif:registry") if said.get(key)}
