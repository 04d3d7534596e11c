"""What has ended when a step begins: found in one pass over the list."""

import random

import pytest

from tests.simulation import HEAD
from wtsflow import manifest
from wtsflow.manifest.order import Order


@pytest.mark.parametrize("seed", range(20))
def test_what_ends_before_a_step_is_found_from_what_ends_before_those_it_needs(seed, monkeypatch):
    """In one pass, and the same as by following every need to its end."""
    chance = random.Random(seed)
    text = "steps:\n"
    for number in range(12):
        needs = chance.sample(range(number), min(number, chance.randint(0, 3)))
        said = "" if chance.random() < 0.4 else f"needs: [{', '.join(f's{n}' for n in needs)}], "
        text += f"  - {{ id: s{number}, {said}script: a/a.sh@1.0.0 }}\n"
    workflow = manifest.load(HEAD + text, "long.yaml")
    long_way = Order._needed
    order = Order(workflow)
    direct = [order._direct(order.places, index) for index in range(12)]
    for place in order.places:
        assert place.before == long_way(order, order.places, direct, place)
    monkeypatch.setattr(Order, "_needed", lambda *given: pytest.fail("looked back from a step"))
    Order(workflow)
