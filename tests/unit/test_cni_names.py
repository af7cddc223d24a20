"""The grammar of container ids, network names, interface names and plugin types."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pynet.cni.names import interface_problem, name_problem, type_problem

ALPHANUMERIC = string.ascii_letters + string.digits


@given(
    st.sampled_from(ALPHANUMERIC),
    st.text(ALPHANUMERIC + "_.-", max_size=80),
)
def test_a_name_of_the_grammar_is_fine(first: str, rest: str) -> None:
    assert name_problem(first + rest) == ""


@pytest.mark.parametrize(
    "name", ["", "-a", ".a", "_a", "a b", "a/b", "a\n", "é", "a\u0660", "a:b", "../a"]
)
def test_any_other_name_is_refused(name: str) -> None:
    assert name_problem(name)


@pytest.mark.parametrize("name", ["e", "eth0", "a-b_c.1", "...", "x" * 15, "ä" * 7, "a\x1cb"])
def test_interface_names_the_kernel_takes(name: str) -> None:
    assert interface_problem(name) == ""


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "a/b", "a:b", "a b", "a\tb", "a\u2003b", "a\x85", "x" * 16, "ä" * 8, "a\0"],
)
def test_interface_names_of_no_link(name: str) -> None:
    assert interface_problem(name)


def test_a_letter_with_a_byte_that_is_space_to_the_kernel_is_refused() -> None:
    assert interface_problem("xà")  # c3 a0


def test_a_placeholder_the_kernel_would_number_is_refused() -> None:
    assert "'%'" in interface_problem("eth%d")


@given(st.text(max_size=20))
def test_what_passes_fits_the_kernels_limits(name: str) -> None:
    if not interface_problem(name):
        assert 1 <= len(name.encode()) <= 15
        assert not set(name) & set("/:% ")


@pytest.mark.parametrize("name", ["", ".", "..", "../bridge", "/bin/sh", "a\0"])
def test_a_plugin_type_is_never_a_path(name: str) -> None:
    assert type_problem(name)
    assert type_problem("host-local") == ""
