"""What the tests of the methods share."""

import pytest

from tiny_clusters import Clusters, make_clusters


@pytest.fixture
def clusters() -> Clusters:
    """Six points of each of four classes."""
    return make_clusters()
