"""How a user's windows are arranged: tabs of cells with cameras. Kept by SMServer, the same on every workstation."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from broker.model.base import Title, Value, Word

LAYOUT_NAME_PATTERN = r"^[^\s./\\\x00-\x1f\x7f][^/\\\x00-\x1f\x7f]*$"
LayoutName = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=60, pattern=LAYOUT_NAME_PATTERN)
]
"""A name that people give and that stands in an address: 1 to 60 characters, no slash, no dot at the beginning."""

MAX_CELLS = 16
MAX_TABS = 32
MAX_LAYOUTS = 50
"""Of one user."""


class Tab(Value):
    """One page of cells."""

    name: Title = Field(description="What stands on the tab.")
    cells: int = Field(
        4, ge=1, le=MAX_CELLS, description="How many cells the page is divided into, e.g. 1, 4, 9 or 16."
    )
    cameras: tuple[Word | None, ...] = Field(
        (), max_length=MAX_CELLS, description="The camera of each cell, row by row from the top left; null: empty."
    )
    stream: Literal["main", "sub"] = Field("main", description="Which stream the cells show.")

    @model_validator(mode="after")
    def _cameras_fit(self) -> "Tab":
        if len(self.cameras) > self.cells:
            raise ValueError(f"cameras: there are {len(self.cameras)} for {self.cells} cells; leave some out")
        return self


class Layout(Value):
    """What a user has arranged, under a name."""

    name: LayoutName = Field(description="Its name, unique for the user.")
    tabs: tuple[Tab, ...] = Field((), max_length=MAX_TABS, description="From left to right.")
