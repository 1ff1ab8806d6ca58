"""Globs, sidecars and names."""

from __future__ import annotations

import fnmatch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rimrep_assets.domain.errors import DataError
from rimrep_assets.ports.sources.selection import Selection, choose, joint_digest, refuse_unsafe


@pytest.mark.parametrize(
    ("pattern", "taken", "left"),
    [
        ("*", ["a.nc", "_metadata"], ["x/a.nc", ".hidden", ".part/a.nc"]),
        ("**", ["a.nc", "x/a.nc", "x/y/a.nc"], [".git/config", "x/.a.nc"]),
        ("**/*.nc", ["a.nc", "x/y/a.nc"], ["a.csv"]),
        ("20[0-9][0-9]/*.nc", ["2024/a.nc"], ["1999/a.nc", "2024/x/a.nc"]),
        ("[!a]*.csv", ["b.csv"], ["a.csv", "/b.csv"]),
        ("a?.csv", ["ab.csv"], ["a.csv", "a/.csv"]),
        ("a+(1).csv", ["a+(1).csv"], ["aa1.csv"]),
        ("x/**/z.csv", ["x/z.csv", "x/a/b/z.csv"], ["z.csv"]),
    ],
)
def test_a_glob_takes_these_and_leaves_those(pattern, taken, left):
    selection = Selection((pattern,))
    assert [name for name in taken if not selection.takes(name)] == []
    assert [name for name in left if selection.takes(name)] == []


@given(
    pattern=st.text("ab.*?[]!-", min_size=1, max_size=8).filter(lambda p: "**" not in p),
    name=st.text("abc.-!", min_size=1, max_size=6).filter(lambda n: not n.startswith(".")),
)
def test_within_one_folder_a_glob_means_what_fnmatch_means(pattern, name):
    assert Selection((pattern,)).takes(name) == fnmatch.fnmatchcase(name, pattern)


@given(
    pattern=st.lists(st.sampled_from(["a", "*", "**", "b*"]), min_size=1, max_size=4).map("/".join),
    name=st.lists(st.sampled_from(["a", "b", "bc"]), min_size=2, max_size=4).map("/".join),
)
def test_a_folder_that_holds_a_taken_file_is_always_walked_into(pattern, name):
    selection = Selection((pattern,))
    if selection.takes(name):
        parts = name.split("/")
        assert all(selection.may_hold("/".join(parts[:i])) for i in range(1, len(parts)))


def test_sidecars_in_another_case_belong_to_the_shapefile():
    (chosen,) = choose(["Z.SHP", "Z.DBF", "z.prj"], Selection(), address="x")
    assert chosen.members == ("Z.SHP", "Z.DBF", "z.prj")


def test_the_digest_of_a_shapefile_knows_which_part_is_which():
    assert joint_digest([("a.shp", "1"), ("a.dbf", "2")]) == joint_digest([("a.dbf", "2"), ("a.shp", "1")])
    assert joint_digest([("a.shp", "1"), ("a.dbf", "2")]) != joint_digest([("a.shp", "2"), ("a.dbf", "1")])


@pytest.mark.parametrize("name", ["", "..", "a/..", "/a", "a//b", "./a", "a\\b", "c:x", "a\nb", "a\x7f"])
def test_an_unsafe_name_is_refused(name):
    with pytest.raises(DataError, match="not a name of a file"):
        refuse_unsafe(name)
