"""The catalogue of health events: everything the system can say about its own condition."""

from enum import StrEnum


class HealthEvent(StrEnum):
    """A condition worth an entry in the log. `…_lost` opens a condition and its partner closes it."""

    PROCESS_STARTED = "process_started"
    PROCESS_STOPPED = "process_stopped"
    CAMERA_SIGNAL_LOST = "camera_signal_lost"
    CAMERA_SIGNAL_RESTORED = "camera_signal_restored"
    CAMERA_REFUSED = "camera_refused"
    CAMERA_FORMAT_CHANGED = "camera_format_changed"
    RECORDING_FAILED = "recording_failed"
    RECORDING_RESTORED = "recording_restored"
    VOLUME_FULL = "volume_full"
    VOLUME_LOST = "volume_lost"
    VOLUME_RESTORED = "volume_restored"
    JOURNAL_FULL = "journal_full"
    JOURNAL_RESTORED = "journal_restored"
    DECODER_CRASHED = "decoder_crashed"
    BROKER_LOST = "broker_lost"
    BROKER_RESTORED = "broker_restored"
    DATABASE_LOST = "database_lost"
    DATABASE_RESTORED = "database_restored"
    NODE_LOST = "node_lost"
    NODE_RESTORED = "node_restored"
    MESSAGE_DEAD_LETTERED = "message_dead_lettered"
    EVENT_QUARANTINED = "event_quarantined"
