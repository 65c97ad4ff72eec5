"""What `wetread doctor` says of the viewer."""

import re
import socket
import threading

import pytest

from node.config import Settings
from node.web.viewer.examine import examine_viewer
from node.web.viewer.package import VERSION
from tests.node.web.service import Service
from tests.ports import free_port


@pytest.fixture
def settings(tmp_path):
    web = {"listen": f"127.0.0.1:{free_port()}", "viewer_port": free_port()}
    return Settings.model_validate({"node": {"home": str(tmp_path)}, "web": web})


def lay(settings):
    (settings.node.home / "viewer" / VERSION).mkdir(parents=True)


def test_without_a_viewer_all_is_well_and_it_says_how_to_have_one(settings):
    check = examine_viewer(settings)
    assert check.well
    assert "wetread viewer install" in check.seen


def test_a_port_that_is_free_is_well(settings):
    lay(settings)
    check = examine_viewer(settings)
    assert check.well
    assert re.search(rf"OHIF {re.escape(VERSION)}, port {settings.web.viewer_port} is free", check.seen)


def test_a_port_of_another_program_is_not(settings):
    lay(settings)
    with socket.create_server(("127.0.0.1", settings.web.viewer_port)) as other:
        other.settimeout(20)
        other.listen()

        def answer():
            connection, _ = other.accept()
            connection.sendall(b"220 mail.hospital.test ESMTP\r\n")
            connection.close()

        threading.Thread(target=answer, daemon=True).start()
        check = examine_viewer(settings)
    assert not check.well
    assert f"another program has port {settings.web.viewer_port}" in check.seen


def test_a_port_that_nobody_may_open_names_what_to_set(settings):
    lay(settings)
    web = settings.web.model_copy(update={"listen": "192.0.2.1:80"})
    check = examine_viewer(settings.model_copy(update={"web": web}))
    assert not check.well
    assert "web.viewer_port" in check.seen


def test_a_port_at_which_the_web_role_answers_is_well(tmp_path):
    with Service(tmp_path) as running:
        web = running.settings.web.model_copy(update={"listen": "127.0.0.1:1", "viewer_port": running.port})
        settings = running.settings.model_copy(update={"web": web})
        lay(settings)
        check = examine_viewer(settings)
    assert check.well
    assert f"is served at port {running.port}" in check.seen
