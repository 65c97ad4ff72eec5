"""Wrong settings stop the start and name their place."""

import pytest

from node.config import load_settings
from node.errors import ConfigError
from node.sections import Callers


def write(tmp_path, text):
    path = tmp_path / "wetread.toml"
    path.write_text(text)
    return path


def test_without_a_file_the_defaults_hold(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = load_settings(None, {})
    assert settings.node.ae_title == "WETREAD"
    assert settings.listen.unknown_callers == Callers.LOOPBACK
    assert settings.node.home == tmp_path / "home"


def test_home_is_relative_to_the_file(tmp_path):
    assert load_settings(write(tmp_path, '[node]\nhome = "x"\n'), {}).node.home == tmp_path / "x"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("[node]\ncolour = 1\n", "node.colour"),
        ("[nodes]\n", "nodes"),
        ('[node]\nae_title = "SEVENTEEN_LETTERS"\n', "node.ae_title"),
        ('[node]\nlisten = "11112"\n', "node.listen"),
        ('[peers.a]\nae_title = "A"\naddress = "h:1"\nconfirm = "maybe"\n', "peers.a.confirm"),
        ('[[routes]]\nname = "r"\npipeline = "nope"\n', "no pipeline 'nope'"),
        ('[[routes]]\nname = "r"\npipeline = "lung-seg"\ndeliver = ["x"]\n', "deliver names 'x'"),
        ('[[routes]]\nname = "r"\npipeline = "lung-seg"\nfrom = ["x"]\n', "from names 'x'"),
        ('[[routes]]\nname = "r"\npipeline = "lung-seg"\nwhen = { Modalty = "CT" }\n', "when.Modalty"),
        (
            '[peers.a]\nae_title = "A"\naddress = "h:1"\n[peers.b]\nae_title = "A"\naddress = "h:2"\n',
            "'A' is there twice",
        ),
        (
            '[[routes]]\nname = "r"\npipeline = "lung-seg"\ntell = ["x"]\n',
            "tell names 'x', which is not under [messages]",
        ),
        ('[messages.a]\nkind = "fax"\naddress = "h:1"\n', "messages.a.kind"),
        ('[messages.a]\nkind = "hl7"\naddress = "https://h"\n', "is host:port"),
        ('[messages.a]\nkind = "fhir"\naddress = "h:1"\n', "begins with https://"),
        ('[messages.a]\nkind = "fhir"\naddress = "https://u:p@h"\n', "holds no credentials"),
        ('[messages.a]\nkind = "fhir"\naddress = "https://h"\norder_update = "OMI^O23"\n', 'are of kind "hl7"'),
        ('[messages.a]\nkind = "hl7"\naddress = "h:1"\norder_update = "OMI^O23"\n', "needs template.critical"),
        (
            '[messages.a]\nkind = "hl7"\naddress = "h:1"\n'
            '[messages.a.template]\ncritical = [{ finding = "1 SCT x", measurement = "2 SCT y" }]\n',
            "measurement goes with min or max",
        ),
        (
            '[messages.a]\nkind = "hl7"\naddress = "h:1"\n[messages.a.template]\ncritical = [{ finding = "1" }]\n',
            "write 'value scheme meaning'",
        ),
        (
            '[messages.a]\nkind = "hl7"\naddress = "h:1"\n[peers.a]\nae_title = "A"\naddress = "h:2"\n',
            "the name 'a' is there twice",
        ),
        ('[hl7]\nlisten = "2575"\n', "hl7.listen"),
        ('[hl7]\naccession = ["ORC3"]\n', "hl7.accession"),
        ('[completeness]\nquiet = "soon"\n', "completeness.quiet"),
        ("not toml", "wetread.toml"),
    ],
)
def test_a_wrong_key_is_named(tmp_path, text, place):
    with pytest.raises(ConfigError) as refusal:
        load_settings(write(tmp_path, text), {})
    assert place in str(refusal.value)


def test_the_environment_comes_last(tmp_path):
    path = write(tmp_path, '[node]\nae_title = "FILE"\n')
    environ = {"WETREAD_NODE__AE_TITLE": "ENVIRON", "WETREAD_WORK__ATTEMPTS": "5", "WETREAD_TEST_DATA": "x"}
    settings = load_settings(path, environ)
    assert (settings.node.ae_title, settings.work.attempts) == ("ENVIRON", 5)


def test_an_unknown_key_in_the_environment_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"node\.colour"):
        load_settings(write(tmp_path, ""), {"WETREAD_NODE__COLOUR": "1"})


def test_a_secret_comes_from_a_file_of_its_own(tmp_path):
    (tmp_path / "url").write_text("redis://x\n")
    settings = load_settings(write(tmp_path, f'[queue]\nurl_file = "{tmp_path}/url"\n'), {})
    assert settings.queue.url == "redis://x"


def test_a_tls_name_without_authorities_can_never_match_and_is_refused(tmp_path):
    path = tmp_path / "wetread.toml"
    path.write_text('[peers.mr1]\nae_title = "MR1"\naddress = "mr1.test:104"\ntls_name = "mr1.test"\n')
    with pytest.raises(ConfigError, match=r"peers\.mr1\.tls_name needs listen\.tls\.authorities"):
        load_settings(path, {})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[node]\nae_titel = 'X'\n", "node.ae_titel: there is no such key; did you mean 'ae_title'?"),
        ("[nodes]\n", "nodes: there is no such key; did you mean 'node'?"),
        (
            '[[routes]]\nname = "r"\npipelin = "lung-seg"\n',
            "routes[0].pipelin: there is no such key; did you mean 'pipel",
        ),
        (
            '[peers.a]\naetitle = "A"\naddress = "h:1"\n',
            "peers.a.aetitle: there is no such key; did you mean 'ae_title'?",
        ),
        ("[work]\nqqq = 1\n", "there are: attempts, device, lanes, lease, patience, warm"),
        ('[completeness]\nquiet = "30s"\n', 'is no duration: write "PT30S"'),
        ('[completeness]\nquiet = "-PT5S"\n', "quiet is less than nothing"),
        ('[node]\nlisten = "0.0.0.0"\n', "write host:port"),
        ('[peers.a]\nae_title = "A"\naddress = "h:99999"\n', "ports end at 65535"),
        ('[peers.a]\nae_title = "A"\naddress = "h:1"\nnetworks = ["10.0.0.0/33"]\n', "'10.0.0.0/33' is no network"),
        ('[listen]\nmin_free_mb = "much"\n', "listen.min_free_mb: should be a whole number"),
        ('[work]\ndevice = "gpu"\n', "'gpu' is no device"),
        ('[routes]\nname = "r"\n', "tables under [[...]]"),
    ],
)
def test_an_error_says_what_to_write_in_words_of_no_library(tmp_path, text, said):
    with pytest.raises(ConfigError) as refusal:
        load_settings(write(tmp_path, text), {})
    assert said in str(refusal.value)
    assert "Value error" not in str(refusal.value)
    assert "lax" not in str(refusal.value)


def test_a_wrong_variable_is_named_and_not_only_the_file(tmp_path):
    with pytest.raises(ConfigError, match=r"node\.ae_titel \(set by WETREAD_NODE__AE_TITEL\): there is no such key"):
        load_settings(write(tmp_path, ""), {"WETREAD_NODE__AE_TITEL": "X"})


def test_a_file_in_another_encoding_is_no_riddle(tmp_path):
    path = tmp_path / "wetread.toml"
    path.write_bytes(b"# Hospital Universit\xe9\n")
    with pytest.raises(ConfigError, match="is not UTF-8"):
        load_settings(path, {})


def test_spaces_around_an_ae_title_count_for_nothing(tmp_path):
    assert load_settings(write(tmp_path, '[node]\nae_title = "READER  "\n'), {}).node.ae_title == "READER"
