"""The DICOMweb service as one application: every address, and who answers it (PS3.18 table 10.1-1)."""

from collections.abc import Callable, Sequence
from threading import Event, Thread

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from node.config import Settings
from node.inbound.spool import Spool
from node.ledger import Ledger
from node.web.dicomweb.attributes import Level
from node.web.dicomweb.capabilities import answer_capabilities
from node.web.dicomweb.frames import answer_bulk, answer_frames, answer_pixels, read_numbers
from node.web.dicomweb.index import Index
from node.web.dicomweb.indexer import Indexer
from node.web.dicomweb.pictures import answer_rendered, answer_thumbnail
from node.web.dicomweb.place import find_root
from node.web.dicomweb.problem import Problem, answer_problem
from node.web.dicomweb.retrieve import Archive
from node.web.dicomweb.search import Search

Answer = Callable[[Request], Response]

STUDY = "/studies/{study}"
SERIES = STUDY + "/series/{series}"
INSTANCE = SERIES + "/instances/{instance}"
FRAMES = INSTANCE + "/frames/{frames}"


class Reading:
    """QIDO-RS and WADO-RS over one spool and outbox, at the path `base`. From `start` to `stop` a thread keeps the
    index. others: (path, method, name) of what other services at this base do, for the capabilities."""

    def __init__(
        self, settings: Settings, ledger: Ledger, spool: Spool, base: str, others: Sequence[tuple[str, str, str]] = ()
    ) -> None:
        self._others = others
        self.index = Index(settings.node.home / "web.sqlite")
        self.indexer = Indexer(ledger, spool.root, settings.outbox, self.index)
        self._public_url, self._base = settings.web.public_url, base
        self._search = Search(self.index, self.indexer, settings.web.most_results, self._find_root)
        self._archive = Archive(ledger, self.index, self.indexer, self._find_root, settings.node.home)
        self._stop = Event()
        self._thread = Thread(target=self.indexer.run, args=(self._stop,), daemon=True)

    def start(self) -> None:
        """Begins to index."""
        self._thread.start()

    def stop(self) -> None:
        """Returns when the index is at rest."""
        self._stop.set()
        self._thread.join(10)

    def make_routes(self) -> list[Route]:
        """All that is read, below the base of the service."""
        answers = {**self._find_searches(), **self._find_retrievals()}
        return [*(Route(path, answer, methods=["GET"]) for path, answer in answers.items()), *self._describe(answers)]

    def _find_root(self, request: Request) -> str:
        return find_root(request, self._public_url) + self._base

    def _find_searches(self) -> dict[str, Answer]:
        levels = {
            "/studies": Level.STUDY,
            "/series": Level.SERIES,
            "/instances": Level.INSTANCE,
            f"{STUDY}/series": Level.SERIES,
            f"{STUDY}/instances": Level.INSTANCE,
            f"{SERIES}/instances": Level.INSTANCE,
        }
        return {path: self._make_search(level) for path, level in levels.items()}

    def _make_search(self, level: Level) -> Answer:
        return lambda request: self._search.answer(request, level)

    def _find_retrievals(self) -> dict[str, Answer]:
        archive = self._archive
        found: dict[str, Answer] = {}
        for path in (STUDY, SERIES, INSTANCE):
            found[path] = archive.answer_instances
            found[f"{path}/metadata"] = archive.answer_metadata
            found[f"{path}/rendered"] = lambda request: answer_rendered(request, archive.find(request))
            found[f"{path}/thumbnail"] = lambda request: answer_thumbnail(request, archive.find(request))
        one = archive.find_one
        found[f"{INSTANCE}/frames"] = lambda request: answer_frames(request, one(request).path)
        found[f"{INSTANCE}/pixeldata"] = lambda request: answer_pixels(request, one(request).path)
        found[FRAMES] = lambda request: answer_frames(request, one(request).path, _numbers(request))
        found[f"{FRAMES}/rendered"] = lambda request: answer_rendered(request, [one(request)], _numbers(request))
        found[f"{FRAMES}/thumbnail"] = lambda request: answer_thumbnail(request, [one(request)], _numbers(request))
        found[f"{INSTANCE}/bulkdata/{{place:path}}"] = lambda request: answer_bulk(
            request, one(request).path, request.path_params["place"]
        )
        return found

    def _describe(self, answers: dict[str, Answer]) -> list[Route]:
        services = [(path.replace(":path", ""), "GET", _name(path)) for path in answers]
        services.append(("/studies", "POST", "StoreInstances"))
        services.append((STUDY, "POST", "StoreStudyInstances"))
        services += self._others

        def describe(request: Request) -> Response:
            return answer_capabilities(request, self._find_root(request), services)

        return [Route("/", describe, methods=["GET", "OPTIONS"])]


def make_dicomweb(reading: Reading) -> Starlette:
    """The application for the base of the service."""
    handlers = {Problem: answer_problem, HTTPException: _answer_missing, Exception: answer_problem}
    return Starlette(routes=reading.make_routes(), exception_handlers=handlers)


def _answer_missing(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    answer = answer_problem(request, Problem(error.status_code, error.detail))
    answer.headers.update(error.headers or {})
    return answer


def _numbers(request: Request) -> list[int]:
    return read_numbers(request.path_params["frames"])


def _name(path: str) -> str:
    """SearchForStudies, RetrieveStudySeriesMetadata ..."""
    steps = [step for step in path.strip("/").split("/") if not step.startswith("{")]
    verb = "SearchFor" if path.endswith(("/studies", "/series", "/instances")) else "Retrieve"
    return verb + "".join(step.capitalize() for step in steps)
