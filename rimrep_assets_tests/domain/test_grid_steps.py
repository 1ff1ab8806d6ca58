"""Steps of grids that say nothing, or contradict each other, are refused before any file is read."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from rimrep_assets_tests.domain.grid_bench import grid_dataset


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ({"clip": {}}, "clip needs bbox"),
        ({"clip": {"bbox": [0, 5, 1, 4]}}, "south 5 lies north of north 4"),
        ({"clip": {"bbox": [0, 0, float("nan"), 4]}}, "not a finite number"),
        ({"clip": {"z": [2, 1]}}, "min 2 is larger than max 1"),
        ({"clip": {"z": [1, 2]}}, "clip.z needs coordinates.z"),
        ({"orient": {}}, "orient needs x, y or longitude"),
        ({"set_time": {}}, "exactly one of variable, attribute, name"),
        ({"set_time": {"variable": "a", "name": "%Y"}}, "exactly one of"),
        ({"set_time": {"name": "%m.nc"}}, "does not tell the year"),
        ({"set_time": {"name": "%Y%b.nc"}}, "%b cannot be used"),
        ({"set_time": {"name": "%Y", "format": "%Y"}}, "format belongs to set_time.attribute"),
        ({"fix_time": {}}, "fix_time needs round, duplicates or sort"),
        ({"fix_time": {"round": "PT0S"}}, "is not a step like"),
        ({"fix_time": {"round": "P1M"}}, "is not a step like"),
        ({"unpack": {}, "repack": {}}, "unpack and repack exclude each other"),
        ({"attributes": {"set": {"a": 1}, "drop": ["a"]}}, "a is both set and dropped"),
        ({"attributes": {}}, "attributes needs set, drop or as_text"),
        ({"attributes": {"drop": ["geospatial_lat_min"]}}, "geospatial_lat_min is computed from the axes"),
    ],
)
def test_steps_that_say_nothing_or_contradict_each_other_are_refused(steps, words):
    with pytest.raises(ValidationError, match=words):
        grid_dataset(steps=steps)


@pytest.mark.parametrize("step", ["set_time", "fix_time"])
def test_rules_of_time_need_a_time(step):
    options = {"set_time": {"name": "%Y"}, "fix_time": {"sort": True}}[step]
    with pytest.raises(ValidationError, match=f"{step} needs coordinates.t"):
        grid_dataset(steps={step: options}, coordinates={"x": "lon", "y": "lat"})
