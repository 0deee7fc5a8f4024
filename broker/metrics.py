"""The figures of the bus, seen on every process's operations port."""

from prometheus_client import Counter, Gauge

PUBLISHED = Counter("vigil_messages_published", "Messages sent, by how it ended.", ("publisher", "outcome"))
DELIVERED = Counter("vigil_messages_delivered", "Messages received.", ("queue",))
DEAD_LETTERED = Counter("vigil_messages_dead_lettered", "Messages put with the dead letters by a reader.", ("queue",))
CONNECTED = Gauge("vigil_broker_connected", "1 while the connection to RabbitMQ stands.", ("connection",))
BLOCKED = Gauge("vigil_broker_blocked", "1 while RabbitMQ has blocked publishing (memory or disk alarm).")
IN_FLIGHT = Gauge("vigil_messages_in_flight", "Messages sent and not yet confirmed.", ("publisher",))
JOURNAL_HELD = Gauge("vigil_journal_held_in_memory", "Journal events that the disk could not take.")
JOURNAL_LOST = Counter("vigil_journal_lost", "Journal events dropped because disk and memory were full.")
REPLICA_REVISION = Gauge("vigil_replica_revision", "Revision of the configuration that this process runs.")
