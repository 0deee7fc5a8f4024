"""What `/metrics` tells of a DVRServer. Read from the counters of the parts when asked; capture pays nothing for it."""

import threading
from collections.abc import Iterable, Iterator
from typing import Protocol
from weakref import WeakSet

from prometheus_client import REGISTRY
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from broker.model.messages import CameraCondition
from servers.dvrserver.capture import Capture


class Counted(Protocol):
    """A DVRServer, as its counters are read."""

    @property
    def node_id(self) -> str:
        """The node's name, a label of all its figures."""
        ...

    def captures(self) -> Iterable[Capture]:
        """All connections to cameras."""
        ...

    def triggers_written(self) -> int:
        """Triggers journalled since the start."""
        ...

    def triggers_lost(self) -> int:
        """Triggers that could not be kept."""
        ...


class _Nodes(Collector):
    def __init__(self) -> None:
        self.nodes: WeakSet[Counted] = WeakSet()

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterator[Metric]:
        stream = ("node_id", "camera_id", "stream")
        running = GaugeMetricFamily("vigil_camera_running", "1 while pictures come.", labels=stream)
        recorded = CounterMetricFamily("vigil_recorded_seconds", "Seconds of footage written.", labels=stream)
        viewers = GaugeMetricFamily("vigil_viewers", "Who watches live.", labels=stream)
        reconnects = CounterMetricFamily("vigil_camera_reconnects", "Broken connections to a camera.", labels=stream)
        written = CounterMetricFamily("vigil_triggers", "Triggers journalled.", labels=("node_id",))
        lost = CounterMetricFamily("vigil_triggers_lost", "Triggers that nothing could hold.", labels=("node_id",))
        for node in tuple(self.nodes):
            for capture in tuple(node.captures()):
                labels = (node.node_id, capture.source.camera_id, capture.source.stream)
                running.add_metric(labels, float(capture.state.condition is CameraCondition.RUNNING))
                recorded.add_metric(labels, capture.recorded_s)
                viewers.add_metric(labels, capture.live.viewers if capture.live else 0)
                reconnects.add_metric(labels, capture.reconnects)
            written.add_metric((node.node_id,), node.triggers_written())
            lost.add_metric((node.node_id,), node.triggers_lost())
        yield from (running, recorded, viewers, reconnects, written, lost)


_nodes = _Nodes()
_lock = threading.Lock()
_registered = False


def watch(node: Counted) -> None:
    """Show a node's figures for as long as it lives."""
    global _registered  # noqa: PLW0603 - the registry is one per process too
    with _lock:
        if not _registered:
            REGISTRY.register(_nodes)
            _registered = True
        _nodes.nodes.add(node)


def forget(node: Counted) -> None:
    """Show them no more."""
    _nodes.nodes.discard(node)
