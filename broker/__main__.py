"""`python -m broker`: the topology as a page, as AsyncAPI, or built on a RabbitMQ."""

import argparse
import sys

from broker import asyncapi, declare, page
from broker.process import BrokerSettings, ProcessSettings, load_settings


def main() -> None:
    """Print docs/topology.md, or do what the option says."""
    parser = argparse.ArgumentParser(prog="python -m broker", description=__doc__)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--asyncapi", action="store_true", help="print docs/asyncapi.yaml")
    what.add_argument("--declare", metavar="URL", help="build the topology on the RabbitMQ at amqp://…")
    default = BrokerSettings.model_fields["partitions"].default
    parser.add_argument("--partitions", type=int, default=default, help="queues per lane (default: %(default)s)")
    arguments = parser.parse_args()
    if arguments.declare:
        count = declare.declare(arguments.declare, arguments.partitions, load_settings(ProcessSettings).tls.ca)
        sys.stdout.write(f"{count} queues are there; readers of their own kind declare theirs when they start.\n")
    elif arguments.asyncapi:
        sys.stdout.write(asyncapi.document())
    else:
        sys.stdout.write(page.document())


if __name__ == "__main__":
    main()
