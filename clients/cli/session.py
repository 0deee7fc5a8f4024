"""Who the command line is at the site, and how it says what went wrong."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

import typer
from pydantic import ValidationError
from rich.console import Console

from broker.process import ProcessSettings, load_settings
from broker.trust.tls import client_context
from clients.sdk import Client, ProblemError, SdkError

USER = "VIGIL_USER"
PASSWORD = "VIGIL_PASSWORD"  # noqa: S105 - the variable's name
"""A password is read from here or asked for, never taken from the command line: others see that."""

FAILED = 1

console = Console()
complaints = Console(stderr=True, soft_wrap=True)


@contextmanager
def signed_in() -> Iterator[Client]:
    """A client of VIGIL_SMSERVER_URL, signed in while the block runs; an error ends the program with a sentence."""
    settings = load_settings(ProcessSettings)
    secure = urlsplit(settings.smserver_url).scheme == "https"
    with (
        _explained(),
        Client(
            settings.smserver_url, verify=client_context(settings.tls.ca) if secure else True, program="vigil sm"
        ) as client,
    ):
        user = os.environ.get(USER) or typer.prompt("User name", err=True)
        password = os.environ.get(PASSWORD) or typer.prompt("Password", hide_input=True, err=True)
        client.sign_in(user, password)
        try:
            yield client
        finally:
            with suppress(SdkError):  # the session ends by itself some day; the first error is the one to tell
                client.sign_out()


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except ProblemError as error:
        if len(error.problems) > 1:
            complaints.print(error.title, highlight=False, markup=False)
            for field in error.problems:
                line = f"  {field.field}: {field.detail}. {field.remedy}".rstrip(". ")
                complaints.print(line, highlight=False, markup=False)
            raise typer.Exit(FAILED) from error
        raise refuse(f"{error.title}: {error.detail}".rstrip(": "), error.remedy, field=error.field) from error
    except ValidationError as error:
        for problem in error.errors(include_url=False):
            message = str(problem["msg"]).removeprefix("Value error, ")
            complaints.print(f"{'.'.join(map(str, problem['loc']))}: {message}", highlight=False, markup=False)
        raise typer.Exit(FAILED) from error
    except SdkError as error:
        complaints.print(str(error), highlight=False, markup=False)
        raise typer.Exit(FAILED) from error


def refuse(sentence: str, remedy: str = "", *, field: str = "") -> typer.Exit:
    """Say on standard error what is wrong, and give the exit to raise."""
    for line in (sentence, f"  field: {field}" if field else "", f"  {remedy}" if remedy else ""):
        if line:
            complaints.print(line, highlight=False, markup=False)
    return typer.Exit(FAILED)


def new_password(whose: str, variable: str) -> str:
    """A password of somebody or something else: from `variable`, or asked for twice."""
    given = os.environ.get(variable)
    if given is not None:
        return given
    asked: str = typer.prompt(f"Password of {whose}", hide_input=True, confirmation_prompt=True, err=True)
    return asked
