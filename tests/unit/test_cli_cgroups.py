"""Whose a process is, by its control group."""

from __future__ import annotations

from pathlib import Path

import pytest

from pynet.cli.cni import containers

ID, OUTER = "a" * 64, "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("group", "found"),
    [
        (f"0::/system.slice/docker-{ID}.scope", ID),
        (f"12:cpu:/docker/{ID}\n1:name=systemd:/docker/{ID}", ID),
        (f"0::/machine.slice/libpod-{ID}.scope/container", ID),
        (f"0::/libpod_parent/libpod-{ID}", ID),
        (f"0::/kubepods/besteffort/pod1/cri-containerd-{ID}.scope", ID),
        (f"0::/docker/{OUTER}/docker/{ID}", ID),  # one within another
        (f"0::/docker/{OUTER}", ""),  # as this process is itself
        ("0::/user.slice/user-0.slice", ""),
        ("", ""),
    ],
)
def test_a_control_group_tells_whose_a_process_is(
    group: str, found: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(containers, "PROC", tmp_path)
    for name, text in (("self", f"0::/docker/{OUTER}"), ("7", group)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "cgroup").write_text(text)
    assert containers.of_process("7") == found
    assert containers.of_process("8") == ""  # it has ended
