"""Secrets are never returned, never announced in clear and never logged."""

import logging
from pathlib import Path

import structlog

from broker.process import LogSettings, configure_logs


def content_of(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


CAMERA, LOGIN = "hunter2-the-camera", "hunter3-the-login"


async def test_no_secret_is_returned_stored_logged_or_announced_in_clear(site, admin, node, tmp_path):
    lines = []

    class Keep(logging.Handler):
        def emit(self, record):
            lines.append(f"{record.getMessage()} {record.__dict__}")

    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    configure_logs(LogSettings(level="debug"))
    root.addHandler(Keep())
    heard = await site.listen("dvrserver", "dvrserver.config").ready()
    try:
        await admin.post("/cameras", site.camera(username="viewer", password=CAMERA))
        await admin.post("/users", {"id": "berta", "name": "Berta", "profile_id": "administrators", "password": LOGIN})
        berta = await site.person("berta", LOGIN)
        secret = (await berta.post("/me/stream-secret", status=200))["secret"]
        await berta.ask("POST", "/sign-in", {"user": "berta", "password": [LOGIN]}, status=422)
        told = [await admin.get(path) for path in ("/cameras", "/users", "/audit", "/me", "/servers")]
        told += [await (await site.service(node)).get("/config/snapshot")]
        await site.eventually(lambda: any(m.kind() == "SecretSealed" for m in heard.heard))
    finally:
        structlog.reset_defaults()
        root.handlers[:] = handlers
        root.setLevel(level)
        await heard.close()
    files = content_of(tmp_path)
    for word in (CAMERA, LOGIN, secret, site.password, admin.signed_in["refresh_token"]):
        assert word not in str(told)
        assert word not in str(lines)
        assert word not in str(heard.heard)
        assert word.encode() not in files


async def test_a_wrong_value_is_refused_without_repeating_the_password(site, admin, node):
    answer = await admin.ask("POST", "/cameras", site.camera(password=CAMERA, nonsense=1), status=422)
    assert CAMERA not in answer.text


async def test_key_files_are_for_their_owner_only(site):
    for path in site.settings.keys_dir.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0 or path.is_dir(), path
    assert site.settings.keys_dir.stat().st_mode & 0o077 == 0
