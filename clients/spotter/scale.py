"""Between moments and pixels of the timeline. Pure."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

SHORTEST_US = 10 * 1_000_000
LONGEST_US = 31 * 86_400 * 1_000_000
STEPS_S = (
    1,
    2,
    5,
    10,
    15,
    30,
    60,
    120,
    300,
    600,
    900,
    1800,
    3600,
    7200,
    10_800,
    21_600,
    43_200,
    86_400,
    172_800,
    604_800,
)
"""Between two marks."""
MARK_PX = 90
"""Least room of a mark with its text."""
_DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Scale:
    """What of time is on the screen: from `start_us`, `span_us` over `width` pixels."""

    start_us: int
    span_us: int
    width: int

    @property
    def end_us(self) -> int:
        """The moment at the right edge."""
        return self.start_us + self.span_us

    def x(self, moment_us: int) -> float:
        """Where a moment is, in pixels from the left."""
        return (moment_us - self.start_us) * self.width / self.span_us

    def moment(self, x: float) -> int:
        """Which moment is there, µs."""
        return self.start_us + round(x * self.span_us / max(self.width, 1))

    def zoomed(self, factor: float, x: float) -> "Scale":
        """Show `factor` times as much, with the moment at `x` where it is."""
        span = min(max(round(self.span_us * factor), SHORTEST_US), LONGEST_US)
        held = self.moment(x)
        return Scale(held - round(x * span / max(self.width, 1)), span, self.width)

    def moved(self, pixels: float) -> "Scale":
        """Show what is so many pixels to the right."""
        return Scale(self.start_us + round(pixels * self.span_us / max(self.width, 1)), self.span_us, self.width)

    def centred(self, moment_us: int) -> "Scale":
        """Show a moment in the middle."""
        return Scale(moment_us - self.span_us // 2, self.span_us, self.width)

    def resized(self, width: int) -> "Scale":
        """The same time on another width."""
        return Scale(self.start_us, self.span_us, max(width, 1))

    def marks(self, zone: tzinfo | None = None) -> list[tuple[int, str]]:
        """Moments to mark, with what to write: full units of the time zone (this machine's, when none is given)."""
        least_s = self.span_us / 1e6 * MARK_PX / max(self.width, 1)
        step_s = next((step for step in STEPS_S if step >= least_s), STEPS_S[-1])
        first = datetime.fromtimestamp(self.start_us / 1e6, UTC).astimezone(zone)
        midnight = first.replace(hour=0, minute=0, second=0, microsecond=0)
        passed = (first - midnight).total_seconds()
        at = midnight + timedelta(seconds=(passed // step_s) * step_s)
        found = []
        while (moment_us := round(at.timestamp() * 1e6)) <= self.end_us:
            if moment_us >= self.start_us:
                found.append((moment_us, _text(at, step_s)))
            at = (at + timedelta(seconds=step_s)).astimezone(zone)
        return found


def _text(at: datetime, step_s: int) -> str:
    if step_s >= _DAY_S or (at.hour, at.minute, at.second) == (0, 0, 0):
        return f"{at:%a %d %b}"
    return f"{at:%H:%M:%S}" if step_s < 60 else f"{at:%H:%M}"  # noqa: PLR2004 - less than a minute
