"""Errors of the HTTP ports as RFC 9457 problems: what was wrong, with which field, and what would mend it."""

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field, ValidationError
from starlette.exceptions import HTTPException

MEDIA_TYPE = "application/problem+json"

REMEDIES = {
    "missing": "give it",
    "extra_forbidden": "leave it out; nothing of this name is known here",
    "json_invalid": "send valid JSON",
    "string_pattern_mismatch": "write it in the pattern {pattern}",
    "string_too_long": "use at most {max_length} characters",
    "string_too_short": "use at least {min_length} characters",
    "greater_than_equal": "use {ge} or more",
    "less_than_equal": "use {le} or less",
    "greater_than": "use more than {gt}",
    "less_than": "use less than {lt}",
    "enum": "use one of {expected}",
    "literal_error": "use one of {expected}",
    "bool_parsing": "use true or false",
    "int_parsing": "use a whole number",
    "datetime_parsing": "use a time with its zone, e.g. 2026-01-31T12:00:00Z",
    "datetime_from_date_parsing": "use a time with its zone, e.g. 2026-01-31T12:00:00Z",
    "timezone_aware": "add the zone, e.g. 2026-01-31T12:00:00Z",
}
"""What mends an error of pydantic, by its type; the type's own context fills the blanks."""


class FieldProblem(BaseModel):
    """One field that is wrong."""

    field: str = Field(description="Its path, e.g. actions.0.url.")
    detail: str = Field(description="What is wrong with it.")
    remedy: str = Field("", description="What would mend it.")


class ProblemBody(BaseModel):
    """The body of an error (RFC 9457)."""

    type: str = Field("about:blank", description="The kind of problem; about:blank: the status says it.")
    title: str = Field(description="The same for all problems of this kind.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field("", description="What went wrong this time.")
    field: str | None = Field(None, description="The field of the request that is wrong, if it is one.")
    remedy: str | None = Field(None, description="What would mend it.")
    errors: list[FieldProblem] | None = Field(None, description="All fields that are wrong, if there are several.")


PROBLEM_RESPONSES: dict[int | str, dict[str, Any]] = {
    "default": {"description": "A problem", "content": {MEDIA_TYPE: {"schema": ProblemBody.model_json_schema()}}},
    422: {"description": "A field is wrong", "content": {MEDIA_TYPE: {"schema": ProblemBody.model_json_schema()}}},
}
"""For `FastAPI(responses=PROBLEM_RESPONSES)`, so that the OpenAPI document says what errors look like."""


class Problem(Exception):  # noqa: N818 - RFC 9457's word
    """Ends a request with a problem."""

    def __init__(
        self,
        status: int,
        title: str = "",
        detail: str = "",
        field: str | None = None,
        remedy: str | None = None,
        *,
        errors: Sequence[FieldProblem] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Without a title it is the status's own phrase."""
        title = title or HTTPStatus(status).phrase
        super().__init__(f"{title}: {detail}" if detail else title)
        self.headers = dict(headers or {})
        self.body = ProblemBody(
            title=title,
            status=status,
            detail=detail,
            field=field,
            remedy=remedy,
            errors=list(errors) if errors else None,
        )

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.body.status

    def response(self) -> JSONResponse:
        """The answer to send."""
        content = self.body.model_dump(exclude_none=True)
        return JSONResponse(content, status_code=self.status, headers=self.headers, media_type=MEDIA_TYPE)


def install_problems(app: FastAPI) -> None:
    """Make every error of an application an RFC 9457 problem, those of FastAPI itself too."""

    async def problem(_request: Request, error: Exception) -> Response:
        assert isinstance(error, Problem)
        return error.response()

    async def invalid(_request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return of_errors(error.errors()).response()

    async def http(_request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        detail = "" if error.detail == HTTPStatus(error.status_code).phrase else str(error.detail)
        return Problem(error.status_code, detail=detail, headers=error.headers).response()

    async def crashed(_request: Request, _error: Exception) -> Response:
        return Problem(500, detail="The server's log says more.").response()  # the server logs and re-raises

    app.add_exception_handler(Problem, problem)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(Exception, crashed)


def of_validation(error: ValidationError) -> Problem:
    """The problem of a value that a route validates by itself."""
    return of_errors(error.errors(include_url=False))


def of_errors(errors: Sequence[Any]) -> Problem:
    """The problem of pydantic's list of errors."""
    fields = [_field_problem(error) for error in errors]
    first = fields[0]
    return Problem(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "A field is wrong" if len(fields) == 1 else "Fields are wrong",
        f"{first.field}: {first.detail}" if first.field else first.detail,
        first.field or None,
        first.remedy or None,
        errors=fields if len(fields) > 1 else None,
    )


def _field_problem(error: Mapping[str, Any]) -> FieldProblem:
    location = [str(part) for part in error.get("loc", ())]
    if location and location[0] in ("body", "query", "path", "header", "cookie"):
        location = location[1:]
    kind, context = str(error.get("type", "")), error.get("ctx") or {}
    if kind == "json_invalid":
        location = []
    try:
        remedy = REMEDIES.get(kind, "").format_map(context)
    except (KeyError, ValueError):
        remedy = ""
    detail = str(error.get("msg", "")).removeprefix("Value error, ").rstrip(".")
    return FieldProblem(field=".".join(location), detail=detail, remedy=remedy)


def problem_text(body: bytes) -> str:
    """What a problem's body says, for clients and logs; empty when it is none."""
    try:
        content = json.loads(body)
    except ValueError:
        return ""
    return str(content.get("detail") or content.get("title") or "") if isinstance(content, dict) else ""
