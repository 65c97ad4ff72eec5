"""/api/v1 met by schemathesis, which reads the document and says what the document allows, and what it does not."""

import json
import time

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode

from node.model.job import State
from node.model.role import Role
from node.web.access import tries
from node.web.access.users import UserFile
from node.web.api import OPENAPI
from tests.jobs import add_job, add_study
from tests.node.web.service import Service

JOB = "a" * 32
KNOWN = {"job": JOB, "study": "1.2.3", "peer": "pacs", "hook": "ris", "submission": "none"}
PEERS = {"pacs": {"ae_title": "PACS", "web_user": "pacs"}}
HOOK = {"url": "http://127.0.0.1:1/", "secret_file": "none"}


def map_path_parameters(_context, path_parameters):
    """Half of all questions are of what there is."""
    if not path_parameters:
        return path_parameters
    return {name: KNOWN[name] if len(str(value)) % 2 else value for name, value in path_parameters.items()}


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    """The document of a node that has a job, a study, a peer and a webhook."""
    patch, home = pytest.MonkeyPatch(), tmp_path_factory.mktemp("api")
    patch.setattr(tries, "FREE", {"pair": 10_000, "address": 10_000, "name": 10_000})  # it guesses a lot
    users = UserFile(home / "users.toml")
    users.add("program", Role.OPERATOR, "")
    with Service(home, peers=PEERS, webhooks={"ris": HOOK}) as service:
        service.ledger.open_hook("ris")
        job = add_job(service.ledger, id=JOB)
        add_study(service.ledger, "1.2.60", how="")
        service.ledger.move_job(job, State.FAILED, time.time(), "load", "TooFewSlices: 2 planes")
        shown = {"Authorization": f"Bearer {users.add_token('program')}"}
        document = schemathesis.openapi.from_url(f"{service.url}/api/v1/openapi.json", headers=shown)
        document.hook(map_path_parameters)
        document.shown = shown
        yield document
    patch.undo()


OPERATIONS = [
    (method, path) for path, methods in json.loads(OPENAPI.read_text())["paths"].items() for method in methods
]


@pytest.mark.parametrize("mode", GenerationMode)
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_every_answer_is_as_the_document_says(api, method, path, mode):
    @settings(
        max_examples=3,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=api[path][method].as_strategy(generation_mode=mode))
    def ask(case):
        case.call_and_validate(timeout=20, headers=api.shown)

    try:
        ask()
    except Unsatisfiable:
        assert mode == GenerationMode.NEGATIVE  # there is nothing that could be said wrong
