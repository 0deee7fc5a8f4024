"""How a process joins the site, and how it stays in touch with SMServer afterwards."""

import asyncio
import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import httpx
from pydantic import ValidationError

from broker.model.resources import Server
from broker.process import Health, logger
from broker.trust.errors import KeyFileError
from broker.trust.http import API, service_client
from broker.trust.identity import Identity
from broker.trust.tokens import TokenChecker

log = logger(__name__)

JWKS_PATH = "/.well-known/jwks.json"
HEALTH_PART = "smserver"
LONGEST_WAIT_S = 30.0
REFUSALS = (400, 401, 403, 404, 409, 422)


class Enrolled(NamedTuple):
    """What SMServer answered."""

    server: Server
    jwks: dict[str, Any]


async def enrol(
    identity: Identity,
    smserver_url: str,
    join_secret_file: Path,
    *,
    control_url: str = "",
    stream_url: str = "",
    health: Health | None = None,
    ca: Path | None = None,
) -> Enrolled:
    """Join the site. Tries for ever, with growing pauses, and says in `/health` what it waits for.

    It may be called at every start: SMServer knows the keys again and takes the addresses.
    """
    wait_s = 0.5
    async with service_client(smserver_url, ca=ca) as client:
        while True:
            try:
                secret = (await asyncio.to_thread(join_secret_file.read_text)).strip()
                body = {
                    "join_secret": secret,
                    "identity": identity.public().model_dump(mode="json"),
                    "control_url": control_url,
                    "stream_url": stream_url,
                }
                answer = await client.post(f"{API}/enrolments", json=body)
                if answer.status_code in REFUSALS:
                    why = f"SMServer refuses to enrol this process: {_detail(answer)}"
                    log.error("enrolment is refused", node_id=identity.id, status=answer.status_code, why=why)
                    wait_s = LONGEST_WAIT_S
                else:
                    content = answer.raise_for_status().json()
                    server = Server.model_validate(content["server"], extra="ignore")
                    if health:
                        health.set(HEALTH_PART, ok=True, detail="enrolled")
                    log.info("enrolled at SMServer", node_id=identity.id)
                    return Enrolled(server, content["jwks"])
            except FileNotFoundError:
                why = f"waiting for the join secret in {join_secret_file}, which SMServer writes at its first start"
            except OSError as error:
                why = f"the join secret cannot be read: {error}"
            except httpx.HTTPError as error:
                why = f"waiting for SMServer at {smserver_url}: {str(error) or type(error).__name__}"
            except (ValueError, KeyError, ValidationError):
                why = f"{smserver_url} does not answer like an SMServer; check VIGIL_SMSERVER_URL"
            if health:
                health.set(HEALTH_PART, ok=False, detail=why)
            await asyncio.sleep(wait_s * random.uniform(0.7, 1.3))  # noqa: S311 - spreads retries, no secret
            wait_s = min(wait_s * 1.5, LONGEST_WAIT_S)


async def stay_in_touch(
    checker: TokenChecker,
    smserver_url: str,
    *,
    health: Health | None = None,
    interval_s: float = 15.0,
    ca: Path | None = None,
) -> None:
    """Fetch SMServer's public keys again and again, for ever, and tell the checker when SMServer falls silent."""
    heard = datetime.now(UTC)
    silent = False
    spoken = False
    async with service_client(smserver_url, ca=ca, timeout_s=5.0) as client:
        while True:
            try:
                answer = (await client.get(JWKS_PATH)).raise_for_status()
                await asyncio.to_thread(checker.update, answer.json())
                heard = datetime.now(UTC)
                if silent:
                    log.info("SMServer answers again")
                silent, spoken = False, True
                if health:
                    health.set(HEALTH_PART, ok=True, detail="answers")
            except (httpx.HTTPError, ValueError, KeyFileError) as error:
                if not silent and spoken:
                    log.warning("SMServer does not answer; tokens stay good for the grace period", error=str(error))
                elif not silent:  # at a common start everybody is earlier than somebody
                    log.info("SMServer does not answer yet", error=str(error))
                silent = True
                checker.set_smserver_silent(heard)
                if health:
                    health.set(HEALTH_PART, ok=False, detail=f"SMServer at {smserver_url} does not answer")
            await asyncio.sleep((interval_s if not silent else min(interval_s, 3.0)) * random.uniform(0.9, 1.1))  # noqa: S311 - no secret


def _detail(answer: httpx.Response) -> str:
    try:
        body = answer.json()
        return str(body.get("detail") or body.get("title") or answer.status_code)
    except (ValueError, AttributeError):
        return f"HTTP {answer.status_code}"
