"""Pictures and clips as files: written under another name first, so that what has the final name is whole."""

import os
from concurrent.futures import Executor, Future
from datetime import datetime
from pathlib import Path
from typing import Literal

from PySide6.QtCore import QStandardPaths

from clients.desktop.video.decoder import full_picture
from clients.desktop.video.frame import Frame
from clients.spotter.naming import file_name, free_path

PictureKind = Literal["png", "jpg"]
JPEG_QUALITY = 95


class NotSavedError(Exception):
    """A file could not be written; the sentence says why."""


def pictures_folder() -> Path:
    """Where pictures and clips go unless the operator says otherwise."""
    base = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.PicturesLocation)
    return Path(base or Path.home()) / "Vigil"


def part_of(path: Path) -> Path:
    """The name under which a file is written until it is whole."""
    return path.with_name(f".{path.name}.part")


def finish(path: Path) -> None:
    """Give a whole file its name, once its bytes are on the disk.

    Raises:
        OSError: the disk refuses.
    """
    part = part_of(path)
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(path)


def save_picture(pool: Executor, frame: Frame, camera_name: str, folder: Path, kind: PictureKind) -> "Future[Path]":
    """Save a frame as large as the camera sent it, with camera and time in the name. Done on one of the pool's threads.

    The future raises `NotSavedError`.
    """

    def save() -> Path:
        moment = datetime.fromtimestamp(frame.time_us / 1e6).astimezone()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            path = free_path(folder, file_name(camera_name, moment, kind))
            image = full_picture(frame)
            if not image.save(str(part_of(path)), kind.encode(), JPEG_QUALITY if kind == "jpg" else -1):
                part_of(path).unlink(missing_ok=True)
                raise NotSavedError(f"The picture could not be written to {folder}: is there room, is it allowed?")
            finish(path)
        except OSError as error:
            raise NotSavedError(f"The picture could not be written to {folder}: {error.strerror}.") from error
        return path

    return pool.submit(save)
