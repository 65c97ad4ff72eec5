"""Settings: defaults < wetread.toml < secret files < WETREAD_SECTION__KEY. Nothing else reads TOML or secrets."""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import Field, ValidationError, model_validator
from pydicom.datadict import tag_for_keyword

from node.errors import ConfigError
from node.route_order import order_routes
from node.sections import (
    Bundle,
    Completeness,
    Condition,
    Deliver,
    Hl7,
    HookName,
    Keep,
    Listen,
    Node,
    Orders,
    Peer,
    Pipeline,
    Queue,
    Receiver,
    Route,
    Section,
    Trust,
    Web,
    Webhook,
    Work,
)
from node.wrong_keys import describe_faults
from pipelines.terms import Allowance, find_manifests, read_manifest, use_shelf

S = TypeVar("S", bound=Section)


def default_routes() -> list[Route]:
    """CT to lung-seg and MR to brain-extract, results kept in the outbox: what a first test send meets."""
    return [
        Route(name="chest CT", when={"Modality": Condition(any=["CT"])}, pipeline="lung-seg"),
        Route(name="head MR", when={"Modality": Condition(any=["MR"])}, pipeline="brain-extract"),
    ]


class Settings(Section):
    """The whole configuration; a value of this type has been checked across sections."""

    node: Node = Node()
    listen: Listen = Listen()
    peers: dict[str, Peer] = Field(default_factory=dict)
    completeness: Completeness = Completeness()
    routes: list[Route] = Field(default_factory=default_routes)
    queue: Queue = Queue()
    work: Work = Work()
    deliver: Deliver = Deliver()
    bundles: dict[str, Bundle] = Field(default_factory=dict)
    pipelines: dict[str, Pipeline] = Field(default_factory=dict)
    keep: Keep = Keep()
    orders: Orders = Orders()
    web: Web = Web()
    messages: dict[str, Receiver] = Field(default_factory=dict)
    hl7: Hl7 = Hl7()
    webhooks: dict[HookName, Webhook] = Field(default_factory=dict)

    @model_validator(mode="after")
    def check_names(self) -> "Settings":
        """Every name resolves; nothing is named twice."""
        installed = find_manifests()
        for index, route in enumerate(self.routes):
            place = f"routes[{index}] ({route.name!r})"
            _check_keywords(place, route)
            if route.pipeline not in installed:
                raise ValueError(f"{place}: no pipeline {route.pipeline!r}; there are: {', '.join(sorted(installed))}")
            for key, names, section, known in (
                ("from", route.sources, "peers", self.peers),
                ("deliver", route.deliver, "peers", self.peers),
                ("tell", route.tell, "messages", self.messages),
            ):
                if unknown := [name for name in names if name not in known]:
                    raise ValueError(f"{place}: {key} names {unknown[0]!r}, which is not under [{section}]")
            for name in route.gather.sources if route.gather else ():
                if name not in self.peers or not self.peers[name].query:
                    raise ValueError(f"{place}: gather.from names {name!r}, which is no peer with query = true")
        for name, peer in self.peers.items():
            if peer.tls_name and not (self.listen.tls and self.listen.tls.authorities):
                raise ValueError(f"peers.{name}.tls_name needs listen.tls.authorities, which signed its certificate")
        _refuse_twice("peers: the web_user", [peer.web_user for peer in self.peers.values() if peer.web_user])
        _refuse_twice("peers and messages: the name", [*self.peers, *self.messages])
        _refuse_twice("routes", [route.name for route in self.routes])
        _refuse_twice("peers: the AE title", [peer.ae_title for peer in self.peers.values() if peer.ae_title])
        return self

    @model_validator(mode="after")
    def check_hooks(self) -> "Settings":
        """The pipelines that webhooks name are there."""
        installed = find_manifests()
        for name, hook in self.webhooks.items():
            if unknown := sorted(set(hook.pipelines) - set(installed)):
                there = ", ".join(sorted(installed))
                raise ValueError(f"webhooks.{name}.pipelines: no pipeline {unknown[0]!r}; there are: {there}")
        return self

    @model_validator(mode="after")
    def check_pipelines(self) -> "Settings":
        """What is said of a pipeline fits it."""
        installed = find_manifests()
        for name, pipeline in self.pipelines.items():
            _check_explain(name, pipeline.explain, installed)
        return self

    @model_validator(mode="after")
    def check_order(self) -> "Settings":
        """What a route comes after is there, and no circle."""
        order_routes(self.routes)
        return self

    @property
    def spool(self) -> Path:
        return self.node.home / "spool"

    @property
    def outbox(self) -> Path:
        return self.node.home / "outbox"

    @property
    def shelf(self) -> Path:
        """Where MONAI bundles are installed."""
        return self.node.home / "pipelines"

    @property
    def order_book(self) -> Path:
        """Where orders are kept, which name people."""
        return self.node.home / "orders.sqlite"

    @property
    def ledger_url(self) -> str:
        return f"sqlite:///{self.node.home / 'ledger.sqlite'}"


def _check_keywords(place: str, route: Route) -> None:
    """Conditions ask of attributes that there are."""
    expected = [(f"expects[{n}]", table) for n, table in enumerate(route.expects)]
    for key, table in [("when", route.when), ("study", route.study), *expected]:
        for path in table:
            if unknown := [keyword for keyword in path.split(".") if tag_for_keyword(keyword) is None]:
                raise ValueError(f"{place}: {key}.{path}: {unknown[0]!r} is not a DICOM keyword")


def _check_explain(name: str, explain: str, installed: Mapping[str, Path]) -> None:
    """The pipeline is there, and can explain in that way."""
    if name not in installed:
        raise ValueError(f"pipelines.{name}: no such pipeline; there are: {', '.join(sorted(installed))}")
    ways = read_manifest(installed[name]).explains if explain else ()
    if explain and explain not in ways:
        raise ValueError(f"pipelines.{name}.explain: {explain!r} is none of its ways: {', '.join(ways) or 'none'}")


def _refuse_twice(what: str, names: list[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{what} {name!r} is there twice")


def load_settings(path: Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """The settings of this node.

    path: a wetread.toml; when None, WETREAD_CONFIG or ./wetread.toml if there is one, else defaults alone.
    Raises ConfigError naming the file and the path of every key at fault.
    """
    environ = os.environ if environ is None else environ
    path = path or find_file(environ)
    data: dict[str, Any] = {}
    if path is not None:
        try:
            data = tomllib.loads(path.read_text("utf-8"))
        except OSError as error:
            raise ConfigError(f"{path}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise ConfigError(f"{path}: byte {error.start} is not UTF-8, as TOML must be: save the file so") from error
        except ValueError as error:
            raise ConfigError(f"{path}: {error}") from error
    _read_secrets(data)
    _overlay(data, environ)
    base = path.parent if path else Path.cwd()
    _use_shelf(data, base)
    try:
        settings = Settings.model_validate(data)
    except ValidationError as error:
        raise ConfigError(f"{path or 'configuration'}: {describe_faults(error, Settings, environ)}") from None
    updates: dict[str, Any] = {"node": settings.node.model_copy(update={"home": _absolute(settings.node.home, base)})}
    if settings.listen.tls:
        updates["listen"] = settings.listen.model_copy(update={"tls": _absolute_places(settings.listen.tls, base)})
    web = _absolute_places(settings.web, base)
    oidc = _absolute_places(settings.web.oidc, base) if settings.web.oidc else None
    updates["web"] = web.model_copy(update={"oidc": oidc})
    updates["peers"] = {name: _absolute_peer(peer, base) for name, peer in settings.peers.items()}
    updates["webhooks"] = {name: _absolute_hook(hook, base) for name, hook in settings.webhooks.items()}
    updates["messages"] = {name: _absolute_receiver(one, base) for name, one in settings.messages.items()}
    if settings.hl7.tls:
        updates["hl7"] = settings.hl7.model_copy(update={"tls": _absolute_places(settings.hl7.tls, base)})
    settings = settings.model_copy(update=updates)
    allowed = {name: Allowance(one.trust is Trust.CODE, one.memory_gb) for name, one in settings.bundles.items()}
    use_shelf(settings.shelf, allowed)
    return settings


def _use_shelf(data: dict[str, Any], base: Path) -> None:
    """Routes may name bundles, which lie under home: so where that is, is said before the routes are checked."""
    node = data.get("node", {})
    home = node.get("home", Node().home) if isinstance(node, dict) else Node().home
    use_shelf(_absolute(Path(str(home)), base) / "pipelines")


def _absolute(place: Path, base: Path) -> Path:
    """A relative path counts from the folder of the configuration."""
    place = place.expanduser()
    return place if place.is_absolute() else (base / place).absolute()


def _absolute_places(section: S, base: Path) -> S:
    """Every file that `section` names."""
    places = {name: _absolute(place, base) for name, place in dict(section).items() if isinstance(place, Path)}
    return section.model_copy(update=places)


def _absolute_peer(peer: Peer, base: Path) -> Peer:
    return peer.model_copy(update={"web": _absolute_places(peer.web, base)})


def _absolute_receiver(receiver: Receiver, base: Path) -> Receiver:
    tls = _absolute_places(receiver.tls, base) if receiver.tls else None
    return receiver.model_copy(update={"web": _absolute_places(receiver.web, base), "tls": tls})


def _absolute_hook(hook: Webhook, base: Path) -> Webhook:
    return _absolute_places(hook, base).model_copy(update={"web": _absolute_places(hook.web, base)})


def find_file(environ: Mapping[str, str]) -> Path | None:
    """The file that is read when none is named; None: defaults alone."""
    if named := environ.get("WETREAD_CONFIG"):
        return Path(named).absolute()
    here = Path("wetread.toml").absolute()
    return here if here.is_file() else None


def _read_secrets(data: dict[str, Any]) -> None:
    """queue.url_file: the url is in a file of its own, as container platforms mount secrets."""
    queue = data.get("queue", {})
    if isinstance(queue, dict) and (place := queue.get("url_file")):
        try:
            queue["url"] = Path(place).read_text("utf-8").strip()
        except OSError as error:
            raise ConfigError(f"queue.url_file: {error}") from error


def _overlay(data: dict[str, Any], environ: Mapping[str, str]) -> None:
    """WETREAD_NODE__AE_TITLE=X sets node.ae_title; the value is read as TOML where it is TOML, else as text."""
    for name, text in sorted(environ.items()):
        if not name.startswith("WETREAD_") or "__" not in name:
            continue
        *sections, key = name.removeprefix("WETREAD_").lower().split("__")
        place = data
        for section in sections:
            place = place.setdefault(section, {})
            if not isinstance(place, dict):
                raise ConfigError(f"{name}: {section} is not a section")
        place[key] = _value(text)


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"v = {text}")["v"]
    except ValueError:
        return text
