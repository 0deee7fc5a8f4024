"""Orders of the engine: keep this footage, as they travel over HTTP."""

import asyncio

from pydantic import Field, model_validator

from broker.model.base import Instant, Text, Value, Word
from servers.dvrserver import archive
from servers.dvrserver.archive import Archive
from servers.dvrserver.instants import instant, micros


class OrderWanted(Value):
    """What the engine asks for."""

    camera_id: Word = Field(description="Whose footage is kept.")
    start: Instant = Field(description="From when on; it may lie in the past.")
    end: Instant | None = Field(None, description="Until when; none: until a later order of the same id says so.")
    reason: Text = Field("", description="For people: the alarm's name.")

    @model_validator(mode="after")
    def _ends_after_it_starts(self) -> "OrderWanted":
        if self.end is not None and self.end <= self.start:
            raise ValueError("end: it must be later than start")
        return self


class Order(Value):
    """An order as it stands."""

    id: str
    camera_id: Word
    start: Instant
    end: Instant | None
    reason: str


class OrderGiven(Order):
    """The answer to an order."""

    created: bool = Field(description="Whether the order was new.")


class Orders:
    """Hands orders to the archive, which keeps them beside its index."""

    def __init__(self, footage: Archive) -> None:
        self._archive = footage

    async def put(self, order_id: str, wanted: OrderWanted) -> OrderGiven:
        """Store an order or widen the one of the same id.

        Raises:
            OrderConflictError: the id belongs to an order of another camera.
        """
        asked = archive.Order(
            id=order_id,
            camera_id=wanted.camera_id,
            start_us=micros(wanted.start),
            end_us=None if wanted.end is None else micros(wanted.end),
            reason=wanted.reason,
        )
        order, created = await asyncio.to_thread(self._archive.protect, asked)
        return OrderGiven(**_fields(order), created=created)

    async def get(self, order_id: str) -> Order | None:
        """An order as it stands, or none."""
        order = await asyncio.to_thread(self._archive.order, order_id)
        return None if order is None else Order(**_fields(order))


def _fields(order: archive.Order) -> dict[str, object]:
    return {
        "id": order.id,
        "camera_id": order.camera_id,
        "start": instant(order.start_us),
        "end": None if order.end_us is None else instant(order.end_us),
        "reason": order.reason,
    }
