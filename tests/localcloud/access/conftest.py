"""A door, and what is behind it."""

from __future__ import annotations

import pytest

from localcloud.access.door import Door
from tests.localcloud.access.sending import KEY, PORT, Behind


@pytest.fixture
def behind():
    return Behind()


@pytest.fixture
def door(behind):
    return Door(behind, KEY, PORT)
