"""What the configuration names and is not there is said in a sentence, before anything starts."""

import os

import pytest
from typer.testing import CliRunner

from node.cli import app
from node.config import load_settings
from node.errors import ConfigError
from node.premises import find_lacking, prepare_home, require_doors


def settle(tmp_path, text):
    path = tmp_path / "wetread.toml"
    path.write_text(text)
    return load_settings(path, {})


def ask(tmp_path, *words):
    path = tmp_path / "wetread.toml"
    return CliRunner().invoke(app, [*words, "--config", str(path)], env={"WETREAD_CONFIG": str(path)})


def test_a_home_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    settings = settle(tmp_path, '[node]\nhome = "file"\n')
    with pytest.raises(ConfigError, match=r"node\.home = '.*file' cannot be made"):
        prepare_home(settings)
    assert "cannot be made" in str(ask(tmp_path, "doctor").exception)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_home_of_another_user_is_named(tmp_path):
    settings = settle(tmp_path, '[node]\nhome = "home"\n')
    settings.node.home.mkdir(mode=0o500)
    with pytest.raises(ConfigError, match="cannot be written by user"):
        prepare_home(settings)


def test_a_new_home_is_its_owners_alone(tmp_path):
    settings = settle(tmp_path, '[node]\nhome = "deep/home"\n')
    prepare_home(settings)
    assert settings.node.home.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("words", [["jobs"], ["show", "1"], ["peers"], ["retry", "--failed"]])
def test_where_no_node_ran_nothing_is_asked_and_nothing_is_made(tmp_path, words):
    settle(tmp_path, '[node]\nhome = "home"\n')
    assert "no node has run on" in str(ask(tmp_path, *words).exception)
    assert not (tmp_path / "home").exists()


TLS = '[listen.tls]\ncertificate = "no.pem"\nkey = "no.key"\n'


def test_files_that_are_not_there_are_named_with_their_keys(tmp_path):
    text = TLS + '[peers.a]\ndicomweb = "https://h/dicom-web"\n[peers.a.web]\ntoken_file = "token"\n'
    settings = settle(tmp_path, text)
    lacking = find_lacking(settings)
    assert [text.split(" = ")[0] for text in lacking] == [
        "listen.tls.certificate",
        "listen.tls.key",
        "peers.a.web.token_file",
    ]
    assert "No such file" in lacking[0]
    refused = str(ask(tmp_path, "config", "check").exception)
    assert "peers.a.web.token_file" in refused
    with pytest.raises(ConfigError) as refusal:
        require_doors(settings)
    assert "listen.tls.key" in str(refusal.value)
    assert "token_file" not in str(refusal.value), "a token may come later: the door opens without it"
    for name in ("no.pem", "no.key", "token"):
        (tmp_path / name).write_text("")
    assert find_lacking(settings) == []


def test_two_doors_at_one_port_are_named(tmp_path):
    one = '[node]\nlisten = "0.0.0.0:8042"\n'
    assert find_lacking(settle(tmp_path, one)) == ["node.listen and web.listen have the same port, 8042"]
    two = '[node]\nlisten = "10.0.0.1:8042"\n'
    assert find_lacking(settle(tmp_path, two)) == [], "another address of this machine"
