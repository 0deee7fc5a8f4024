"""Turns descriptions of calls into methods, so that each call is written once for both clients."""

from collections.abc import Awaitable, Callable
from typing import Generic, ParamSpec, Protocol, overload

from clients.sdk.call import Call, T

P = ParamSpec("P")


class Asks(Protocol):
    """Somebody who asks at once."""

    def do(self, call: Call[T]) -> T:
        """Ask, and return the answer."""
        ...


class AsksAsync(Protocol):
    """Somebody who asks and waits."""

    async def do(self, call: Call[T]) -> T:
        """Ask, and return the answer."""
        ...


class asked(Generic[P, T]):  # noqa: N801 - reads as a decorator does: `me = asked(calls.me)`
    """A method of a sync client, made of the function that describes its call."""

    def __init__(self, describe: Callable[P, Call[T]]) -> None:
        self._describe = describe
        self.__doc__ = describe.__doc__

    @overload
    def __get__(self, client: None, owner: type) -> "asked[P, T]": ...
    @overload
    def __get__(self, client: Asks, owner: type) -> Callable[P, T]: ...
    def __get__(self, client: Asks | None, owner: type) -> "asked[P, T] | Callable[P, T]":
        """The method, bound to its client."""
        if client is None:
            return self

        def method(*args: P.args, **kwargs: P.kwargs) -> T:
            return client.do(self._describe(*args, **kwargs))

        return method


class asked_async(Generic[P, T]):  # noqa: N801 - the same
    """A method of an async client, made of the function that describes its call."""

    def __init__(self, describe: Callable[P, Call[T]]) -> None:
        self._describe = describe
        self.__doc__ = describe.__doc__

    @overload
    def __get__(self, client: None, owner: type) -> "asked_async[P, T]": ...
    @overload
    def __get__(self, client: AsksAsync, owner: type) -> Callable[P, Awaitable[T]]: ...
    def __get__(self, client: AsksAsync | None, owner: type) -> "asked_async[P, T] | Callable[P, Awaitable[T]]":
        """The method, bound to its client."""
        if client is None:
            return self

        def method(*args: P.args, **kwargs: P.kwargs) -> Awaitable[T]:
            return client.do(self._describe(*args, **kwargs))

        return method
