"""Killed at every point of ADD and DEL: the next DEL or GC leaves nothing, and takes nothing else.

Of each plugin by itself, with what stands before it in its list, which is not killed; and of
whole lists, killed at every point of every plugin. `scripts/soak` kills cold executables so; in
`test_refusals` a step of undoing is refused, and in `test_reconciling` a reconciler is killed.
"""

from __future__ import annotations

import pytest
from chains import LISTS, PARTS, by_kernel
from crashes import killed_and_cleaned_up, kills, left_by, warm
from scenes import container, in_host

pytestmark = pytest.mark.every_point

_LIFE_EACH = 4
"""So many points apart: what it would meet has been compared by then, and it takes longest."""
each_part = pytest.mark.parametrize("part", by_kernel(sorted(PARTS)))
each_command = pytest.mark.parametrize("command", ["ADD", "DEL"])


@each_part
@each_command
@pytest.mark.parametrize("cleaner", ["DEL", "GC"])
@in_host
def test_killed_at_every_point(part: str, command: str, cleaner: str) -> None:
    for number, scene in enumerate(kills(part, command)):
        scene.succeed(cleaner)
        assert left_by(scene, command, cleaner) == []
        if number % _LIFE_EACH == 0:
            scene.lives_once_more()


@pytest.mark.parametrize("part", sorted(LISTS))
@each_command
@in_host
def test_a_long_list_killed_at_every_point(part: str, command: str) -> None:
    killed_and_cleaned_up(part, command)


@each_part
@in_host
def test_identical_add_after_a_kill(part: str) -> None:
    """Up to its commit it succeeds; after it, it names what is there, and DEL clears it.

    In a list it is the first plugin that is asked first, and may say so.
    """
    refused = 0
    for scene in kills(part, "ADD"):
        committed = scene.first_is_ready()
        again = scene.call("ADD")
        assert committed or again.status == 0, again.stdout
        if again.status:
            refused += 1
            assert again.code == 100, again.stdout
            assert scene.runtime.container in again.document["msg"]
            scene.succeed("DEL")
            scene.succeed("ADD")
        assert scene.call("CHECK").status == 0
        scene.succeed("DEL")
        assert scene.left() == []
    # The finished ADD, the one killed after its last commit, and in a list some before that.
    assert refused == 2 if part != "chain" else refused > 2


@each_command
@pytest.mark.parametrize("part", ["chain", "host-device"])
@in_host
def test_a_daemon_killed_at_every_point(command: str, part: str) -> None:
    """The same by what the daemon keeps warm, which goes other ways in the kernel."""
    container("other")
    warm()
    for scene in kills(part, command, daemon=True):
        scene.succeed("DEL")
        assert scene.left() == []
