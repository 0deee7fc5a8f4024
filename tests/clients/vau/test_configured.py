import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from broker.trust.envelopes import public_text
from clients.vau import configured, update


@pytest.fixture(autouse=True)
def _released(publisher):
    publisher.release("1.0")


def told(computer):
    """The configuration that the application would start with."""
    return computer.update().launch.configuration


def test_the_configuration_of_the_site_reaches_the_application(mirror, computer):
    mirror.configuration = {"branding": {"site": "Harbour", "colour": "#00aa88"}, "switches": {"remember_user": False}}
    configuration = told(computer)
    assert (configuration.branding.site, configuration.branding.colour) == ("Harbour", "#00aa88")
    assert computer.told == []


@pytest.mark.parametrize(
    "extra",
    [
        {"program": "/bin/sh"},
        {"root": "{}"},
        {"update_source": "https://elsewhere.example"},
        {"branding": {"command": "x"}},
        {"addresses": [{"url": "https://elsewhere.example/path"}]},
        {"addresses": [{"url": "file:///etc/passwd"}]},
        {"addresses": [{"url": "https://user:secret@elsewhere.example"}]},
    ],
)
def test_a_configuration_that_says_more_than_it_may_is_refused_as_a_whole(mirror, computer, extra):
    mirror.configuration = {"branding": {"site": "Before"}}
    assert told(computer).branding.site == "Before"
    mirror.revision = 2
    mirror.configuration = {"branding": {"site": "After"}, **extra}
    assert told(computer).branding.site == "Before"
    assert "is not used" in computer.told[-1]


@pytest.mark.parametrize("checked", [True, False])
def test_a_configuration_of_another_smserver_is_refused(mirror, computer, monkeypatch, checked):
    mirror.configuration = {"branding": {"site": "Ours"}}
    told(computer)
    mirror.key = Ed25519PrivateKey.generate()
    mirror.configuration = {"branding": {"site": "Theirs"}}
    if not checked:
        original = configured._checked
        monkeypatch.setattr(
            configured,
            "_checked",
            lambda document, known, *more: original(document, known.model_copy(update={"keys": ()}), *more),
        )
    assert told(computer).branding.site == ("Ours" if checked else "Theirs")


@pytest.mark.parametrize("checked", [True, False])
def test_a_configuration_that_was_recorded_earlier_is_refused(mirror, computer, monkeypatch, checked):
    mirror.configuration = {"branding": {"site": "Old"}}
    recorded = mirror.issue("0" * 32)
    mirror.configuration = {"branding": {"site": "New"}}
    told(computer)
    mirror.issue = lambda _nonce: recorded
    if not checked:  # the number used once is the check
        monkeypatch.setattr(configured.secrets, "token_hex", lambda _bytes: "0" * 32)
    assert told(computer).branding.site == ("New" if checked else "Old")


@pytest.mark.parametrize("checked", [True, False])
def test_an_older_revision_is_refused(mirror, computer, monkeypatch, checked):
    mirror.revision = 5
    mirror.configuration = {"branding": {"site": "New"}}
    told(computer)
    mirror.revision = 4
    mirror.configuration = {"branding": {"site": "Old"}}
    if not checked:
        kept = configured.load
        monkeypatch.setattr(update.configured, "load", lambda path: kept(path).model_copy(update={"revision": -1}))
    assert told(computer).branding.site == ("New" if checked else "Old")


def test_a_key_that_a_known_key_has_announced_is_believed(mirror, computer):
    told(computer)
    old, new = mirror.key, Ed25519PrivateKey.generate()
    issue = mirror.issue
    mirror.issue = lambda nonce: issue(nonce, keys=[public_text(old), public_text(new)])
    told(computer)
    mirror.issue = issue
    mirror.key = new
    mirror.configuration = {"branding": {"site": "After"}}
    assert told(computer).branding.site == "After"
    assert computer.told == []


def test_after_the_key_was_forgotten_the_present_one_is_believed(mirror, computer):
    told(computer)
    mirror.key = Ed25519PrivateKey.generate()
    told(computer)
    assert "--forget-server" in computer.told[-1]
    update.forget_server(computer.folder / "vau", computer.vau()._wish.addresses)
    computer.told.clear()
    told(computer)
    assert computer.told == []
