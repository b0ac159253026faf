from __future__ import annotations

import pytest

from localcloud.sagemaker.events import Events
from tests.instruments.unreliable_events import unreliable


@pytest.mark.parametrize(("lost", "doubled", "times"), [(0, 0, 1), (1, 0, 0), (0, 1, 2)])
def test_events_can_be_lost_or_come_twice(lost, doubled, times):
    sent = []
    deliver = unreliable(lambda _events, event: sent.append(event), lost, doubled)
    deliver(Events(), {"EventId": "1"})
    assert sent == [{"EventId": "1"}] * times
