"""What an alarm sounds like: two tones a priority, made here, played by QtMultimedia where there is a loudspeaker."""

import math
import struct
import wave
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from broker.model.base import Priority
from broker.process import logger

if TYPE_CHECKING:
    from PySide6.QtMultimedia import QSoundEffect

log = logger(__name__)

RATE = 22_050
TONES = {Priority.HIGH: (880, 660, 880, 660), Priority.AVERAGE: (660, 880), Priority.LOW: (523,)}
"""Hertz, one after the other."""
TONE_S, FADE_S, LOUDNESS = 0.16, 0.012, 0.5


def tones(priority: Priority) -> bytes:
    """A WAV file, 16 bits, mono. Each tone fades in and out, so that nothing clicks."""
    samples = bytearray()
    for hertz in TONES[priority]:
        count = round(TONE_S * RATE)
        for index in range(count):
            at = index / RATE
            fade = min(1.0, at / FADE_S, (count - index) / RATE / FADE_S)
            samples += struct.pack("<h", round(32_767 * LOUDNESS * fade * math.sin(2 * math.pi * hertz * at)))
    out = BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(bytes(samples))
    return out.getvalue()


class Bell:
    """Rings for alarms unless it is muted. Qt's multimedia is loaded when it first rings."""

    def __init__(self) -> None:
        self.muted = False
        self.rung: list[Priority] = []
        """What has rung, newest last; the last few only."""
        self._folder: TemporaryDirectory[str] | None = None
        self._effects: dict[Priority, QSoundEffect] = {}

    def ring(self, priority: Priority) -> None:
        """Sound for an alarm."""
        if self.muted:
            return
        self.rung = [*self.rung[-9:], priority]
        try:
            effect = self._effects.get(priority) or self._load(priority)
        except (ImportError, OSError) as error:
            log.warning("alarms cannot be heard here", reason=str(error))
            self.muted = True
            return
        effect.play()

    def mute(self, muted: bool) -> None:  # noqa: FBT001 - one value, said by the name
        """Be silent, at once, or not any more."""
        self.muted = muted
        if muted:
            for effect in self._effects.values():
                effect.stop()

    def close(self) -> None:
        """Free the loudspeaker and the files."""
        for effect in self._effects.values():
            effect.stop()
            effect.deleteLater()
        self._effects.clear()
        if self._folder:
            self._folder.cleanup()
            self._folder = None

    def _load(self, priority: Priority) -> "QSoundEffect":
        from PySide6.QtCore import QUrl  # noqa: PLC0415 - with the next one
        from PySide6.QtMultimedia import QSoundEffect  # noqa: PLC0415 - takes a quarter of a second; not at start

        self._folder = self._folder or TemporaryDirectory(prefix="vigil-sound-")
        path = Path(self._folder.name) / f"{priority}.wav"
        path.write_bytes(tones(priority))
        effect = QSoundEffect()
        effect.setSource(QUrl.fromLocalFile(str(path)))
        self._effects[priority] = effect
        return effect
