from functools import partial

import pytest

from tests.servers.dvrserver import one_node


@pytest.fixture
def site(tmp_path):
    """What SMServer would have told the node `node-1`."""
    return one_node.Site(tmp_path)


@pytest.fixture
def run_node(site):
    """`async with run_node(**settings) as node`: a DVRServer whose SMServer never answers."""
    return partial(one_node.run_node, site)


@pytest.fixture
def until():
    """`await until(lambda: …)`."""
    return one_node.until
