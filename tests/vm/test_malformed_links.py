"""Any value in any key of the plugins whose links this machine's kernel may lack."""

from __future__ import annotations

import drive
import pytest
from malformed import every_key
from scenes import in_host
from test_malformed import Place, changed_at_random


@pytest.mark.long
@pytest.mark.parametrize("plugin", drive.NOT_EVERYWHERE)
@in_host
def test_any_value_is_one_document_a_code_and_no_effect(plugin: str) -> None:
    place = Place()
    changed_at_random(place, [key for key in every_key() if key.base == plugin], 4)
    place.wholly_unchanged()
