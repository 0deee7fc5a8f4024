"""Signing in: what is asked once, what is never lost, and a sentence for each way in which it can fail."""

import hashlib
import socket
import ssl
import threading

import pytest

from broker.model.resources import Profile, Right, User
from clients.desktop.session import Link
from clients.desktop.sign_in import SignInWindow
from clients.desktop.sites import Sites
from tests.clients.desktop.conftest import Served, make_certificate


@pytest.fixture
def window(session, sites, qtbot):
    window = SignInWindow(session, sites, "Vigil System Manager")
    qtbot.addWidget(window)
    window.show()
    return window


@pytest.fixture
def try_it(window, until):
    """Types and submits; returns what the window complains of, or nothing once somebody has signed in."""

    def attempt(address, user="admin", password="wrong password"):
        window.address.setEditText(address)
        window.user.setText(user)
        window.password.setText(password)
        done = []
        window.signed_in.connect(done.append)
        window.button.click()
        until(lambda: done or window.complaint)
        return window.complaint

    return attempt


def test_somebody_signs_in_and_is_remembered_without_their_password(served, window, try_it, session, sites, tmp_path):
    assert try_it(served.address, password=served.password) == ""
    assert session.signed_in.user.id == "admin"
    assert session.administers
    assert window.password.text() == ""
    again = Sites(tmp_path / "config" / "desktop.json")
    assert [(site.address, site.user) for site in again.known] == [(served.address, "admin")]
    assert served.password not in (tmp_path / "config" / "desktop.json").read_text()
    assert (tmp_path / "config" / "desktop.json").stat().st_mode & 0o077 == 0


def test_a_server_that_is_away_is_named_and_nothing_typed_is_lost(window, try_it):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    said = try_it(f"127.0.0.1:{port}", password="a long secret")
    assert said.startswith(f"Nothing listens at 127.0.0.1:{port}.")
    assert "Check the port" in said
    assert (window.user.text(), window.password.text()) == ("admin", "a long secret")
    assert window.address.currentText() == f"127.0.0.1:{port}"


def test_a_server_that_is_silent_is_given_up_and_named(try_it, monkeypatch):
    monkeypatch.setattr("clients.desktop.trust.CONNECT_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = mute.getsockname()[1]
        assert try_it(f"127.0.0.1:{port}").startswith(f"127.0.0.1:{port} does not answer.")


def test_something_else_that_answers_is_told_from_an_smserver(try_it):
    with socket.create_server(("127.0.0.1", 0)) as other:

        def answer():
            for _ in range(2):
                connection, _ = other.accept()
                with connection:
                    connection.recv(4096)
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi")

        threading.Thread(target=answer, daemon=True).start()
        port = other.getsockname()[1]
        said = try_it(f"http://127.0.0.1:{port}")
    assert "not as an SMServer of this version" in said
    assert "updater" in said


def test_a_wrong_password_is_said_in_a_sentence_and_stays_typed(served, window, try_it):
    said = try_it(served.address, password="wrong password")
    assert said.startswith("The user name or the password is wrong.")
    assert window.password.text() == "wrong password"
    assert window.password.selectedText() == "wrong password"


def test_too_many_wrong_passwords_say_how_long_to_wait(tmp_path, try_it):
    served = Served(tmp_path / "strict", throttle_tries=1).start()
    try:
        try_it(served.address)
        said = try_it(served.address)
        assert said.startswith("Too many wrong passwords")
        assert "Wait " in said
        assert "seconds" in said
    finally:
        served.close()


@pytest.mark.parametrize("typed", ["", "ftp://host", "user@host", "host/path", "host:0", "a b"])
def test_what_is_no_address_is_refused_before_anything_is_sent(typed, try_it):
    assert "address" in try_it(typed)


def test_who_lacks_the_right_of_the_application_is_told_so(served, session, sites, qtbot, until):
    with served.client() as client:
        client.profiles.add(Profile(id="guards", name="Guards", rights=frozenset({Right.LIVE})))
        client.users.add(User(id="olga", name="Olga", profile_id="guards"), password="correct horse battery")
    window = SignInWindow(session, sites, "System Manager", needs=Right.ADMINISTER)
    qtbot.addWidget(window)
    window.address.setEditText(served.address)
    window.user.setText("olga")
    window.password.setText("correct horse battery")
    window.submit()
    until(lambda: window.complaint)
    assert "olga may not use this application" in window.complaint
    assert session.signed_in is None
    assert session.standing.link is Link.OUT


def test_an_unknown_certificate_is_shown_once_and_then_pinned(tmp_path, window, try_it, session, sites, until):
    served = Served(tmp_path / "tls", make_certificate(tmp_path / "first")).start()
    try:
        said = try_it(served.address, password=served.password)
        assert "Compare its fingerprint" in said
        assert len(window.fingerprint.split(":")) == 32
        assert session.signed_in is None
        assert sites.certificate(served.address) is None
        window.accept_certificate.click()
        until(lambda: session.signed_in is not None or window.complaint)
        assert window.complaint == ""
        assert sites.certificate(served.address)
        until(lambda: session.standing.link is Link.CONNECTED)
        session.sign_out()
        assert try_it(served.address, password=served.password) == "", "it is asked only once"
    finally:
        session.sign_out()
        served.close()


def test_a_certificate_that_the_updater_vouches_for_is_not_asked_about(tmp_path, session, sites, qtbot, until):
    tls = make_certificate(tmp_path / "first")
    served = Served(tmp_path / "tls", tls).start()
    digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(tls.certificate.read_text())).hexdigest()
    window = SignInWindow(session, sites, "Vigil", addresses=(served.address,), fingerprints=(digest,))
    qtbot.addWidget(window)
    window.user.setText("admin")
    window.password.setText(served.password)
    try:
        window.submit()
        until(lambda: session.signed_in is not None or window.complaint)
        assert window.complaint == ""
    finally:
        session.sign_out()
        served.close()


def test_another_certificate_than_the_pinned_one_gets_no_password(tmp_path, window, try_it, session, sites):
    served = Served(tmp_path / "tls", make_certificate(tmp_path / "first")).start()
    try:
        try_it(served.address, password=served.password)
        sites.accept(served.address, window._certificate.pem)
        served.stop()
        served.start(make_certificate(tmp_path / "second"))
        said = try_it(served.address, password=served.password)
        assert "another certificate than before" in said
        assert session.signed_in is None
        assert window.password.text() == served.password
    finally:
        served.close()


def test_without_the_pin_that_other_certificate_would_be_asked_about_like_a_new_one(tmp_path, window, try_it):
    served = Served(tmp_path / "tls", make_certificate(tmp_path / "second")).start()
    try:
        said = try_it(served.address, password=served.password)
        assert "not known here yet" in said
        assert "another certificate" not in said
    finally:
        served.close()


def test_the_password_goes_to_no_server_that_speaks_plainly_elsewhere(try_it, monkeypatch):
    monkeypatch.setattr("clients.desktop.trust.is_loopback", lambda host: False)
    with socket.create_server(("127.0.0.1", 0)) as plain:
        heard = []

        def answer():
            connection, _ = plain.accept()
            with connection:
                heard.append(connection.recv(4096))
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        said = try_it(f"127.0.0.1:{plain.getsockname()[1]}", password="a long secret")
        thread.join(5)
    assert "would travel in clear" in said
    assert b"secret" not in b"".join(heard)
