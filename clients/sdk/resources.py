"""The kinds of resources as groups of methods: `client.cameras.list()`, `await client.alarms.get("front-door")`."""

from collections.abc import Awaitable
from typing import Generic

from broker.model.layouts import Layout
from clients.sdk.asked import Asks, AsksAsync
from clients.sdk.calls import LayoutCalls, R, ResourceCalls
from clients.sdk.values import Versioned


class Resources(Generic[R]):
    """One kind of resource, asked at once. What each method does stands in `ResourceCalls`."""

    def __init__(self, client: Asks, path: str, cls: type[R]) -> None:
        self._client = client
        self._calls = ResourceCalls(path, cls)

    def list(self) -> tuple[R, ...]:
        """All that the user sees."""
        return self._client.do(self._calls.list())

    def get(self, resource_id: str) -> R:
        """One of them."""
        return self._client.do(self._calls.get(resource_id))

    def fetch(self, resource_id: str) -> Versioned[R]:
        """One of them with its revision."""
        return self._client.do(self._calls.fetch(resource_id))

    def add(self, resource: R, *, password: str | None = None) -> R:
        """A new one."""
        return self._client.do(self._calls.add(resource, password=password))

    def replace(self, resource: R, *, password: str | None = None, revision: str | None = None) -> R:
        """Change it as a whole."""
        return self._client.do(self._calls.replace(resource, password=password, revision=revision))

    def remove(self, resource_id: str, *, revision: str | None = None) -> None:
        """Delete it."""
        return self._client.do(self._calls.remove(resource_id, revision=revision))


class AsyncResources(Generic[R]):
    """One kind of resource, to be awaited."""

    def __init__(self, client: AsksAsync, path: str, cls: type[R]) -> None:
        self._client = client
        self._calls = ResourceCalls(path, cls)

    def list(self) -> Awaitable[tuple[R, ...]]:
        """All that the user sees."""
        return self._client.do(self._calls.list())

    def get(self, resource_id: str) -> Awaitable[R]:
        """One of them."""
        return self._client.do(self._calls.get(resource_id))

    def fetch(self, resource_id: str) -> Awaitable[Versioned[R]]:
        """One of them with its revision."""
        return self._client.do(self._calls.fetch(resource_id))

    def add(self, resource: R, *, password: str | None = None) -> Awaitable[R]:
        """A new one."""
        return self._client.do(self._calls.add(resource, password=password))

    def replace(self, resource: R, *, password: str | None = None, revision: str | None = None) -> Awaitable[R]:
        """Change it as a whole."""
        return self._client.do(self._calls.replace(resource, password=password, revision=revision))

    def remove(self, resource_id: str, *, revision: str | None = None) -> Awaitable[None]:
        """Delete it."""
        return self._client.do(self._calls.remove(resource_id, revision=revision))


class Layouts:
    """The user's own layouts, asked at once. What each method does stands in `LayoutCalls`."""

    def __init__(self, client: Asks) -> None:
        self._client = client
        self._calls = LayoutCalls()

    def list(self) -> tuple[Layout, ...]:
        """All of them, by name."""
        return self._client.do(self._calls.list())

    def get(self, name: str) -> Layout:
        """One of them."""
        return self._client.do(self._calls.get(name))

    def fetch(self, name: str) -> Versioned[Layout]:
        """One of them with its revision."""
        return self._client.do(self._calls.fetch(name))

    def save(self, layout: Layout, *, revision: str | None = None) -> Versioned[Layout]:
        """Add it, or replace the one of its name."""
        return self._client.do(self._calls.save(layout, revision=revision))

    def remove(self, name: str, *, revision: str | None = None) -> None:
        """Delete it."""
        return self._client.do(self._calls.remove(name, revision=revision))


class AsyncLayouts:
    """The user's own layouts, to be awaited."""

    def __init__(self, client: AsksAsync) -> None:
        self._client = client
        self._calls = LayoutCalls()

    def list(self) -> Awaitable[tuple[Layout, ...]]:
        """All of them, by name."""
        return self._client.do(self._calls.list())

    def get(self, name: str) -> Awaitable[Layout]:
        """One of them."""
        return self._client.do(self._calls.get(name))

    def fetch(self, name: str) -> Awaitable[Versioned[Layout]]:
        """One of them with its revision."""
        return self._client.do(self._calls.fetch(name))

    def save(self, layout: Layout, *, revision: str | None = None) -> Awaitable[Versioned[Layout]]:
        """Add it, or replace the one of its name."""
        return self._client.do(self._calls.save(layout, revision=revision))

    def remove(self, name: str, *, revision: str | None = None) -> Awaitable[None]:
        """Delete it."""
        return self._client.do(self._calls.remove(name, revision=revision))
