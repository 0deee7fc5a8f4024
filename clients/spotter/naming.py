"""What saved pictures and clips are called."""

import re
from datetime import datetime
from pathlib import Path

MOST_LETTERS = 60


def file_name(camera_name: str, moment: datetime, suffix: str) -> str:
    """A name with camera and time that every file system takes, e.g. `Car_park_2026-11-24_15-05-12.345.png`."""
    safe = re.sub(r"[^\w-]+", "_", camera_name, flags=re.UNICODE).strip("_")[:MOST_LETTERS] or "camera"
    return f"{safe}_{moment:%Y-%m-%d_%H-%M-%S}.{moment.microsecond // 1000:03}.{suffix}"


def free_path(folder: Path, name: str) -> Path:
    """A path in the folder that nothing has yet: saving never overwrites."""
    path = folder / name
    stem, suffix = path.stem, path.suffix
    number = 2
    while path.exists():
        path = folder / f"{stem}_{number}{suffix}"
        number += 1
    return path
