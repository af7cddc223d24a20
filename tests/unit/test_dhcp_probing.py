"""When probes go out, and when there is a verdict, on an idle and on a busy machine."""

from __future__ import annotations

from pynet.dhcp.probing import Probing


class Notes(Probing):
    """Made at 0; what it did, when."""

    def __init__(self, late_answer: str = "") -> None:
        super().__init__(0.0)
        self.now = 0.0
        self.asked: list[float] = []
        self._late_answer = late_answer

    def ask(self) -> None:
        self.asked.append(self.now)

    def receive(self) -> None:
        self.taken_by = self._late_answer

    def close(self) -> None:
        """Nothing is open."""

    def tick_each(self, step: float) -> Notes:
        while not self.done:
            self.tick(self.now)
            self.now += step
        return self


def test_three_probes_go_out_however_often_it_is_called() -> None:
    done = Notes().tick_each(1 / 4096)
    assert len(done.asked) == 3
    assert [round(at, 3) for at in done.asked] == [0, 0.004, 0.008]
    assert round(done.now, 3) == 0.025


def test_who_comes_late_sends_all_of_them_first() -> None:
    done = Notes().tick_each(1.0)
    assert done.asked == [0, 1, 2]
    assert done.now == 4


def test_what_has_come_in_meanwhile_counts() -> None:
    assert Notes("02:00:00:00:00:01").tick_each(1.0).taken_by
