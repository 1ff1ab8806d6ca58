"""How ``resources`` are written in dataset.yaml."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rimrep_assets.domain.errors import DefinitionError
from rimrep_assets.domain.plan import data_fingerprint
from rimrep_assets.domain.worker_resources import amount_in_words, bytes_of
from rimrep_assets_tests.domain.test_dataset import changed, parsed
from rimrep_assets_tests.worlds import TABLE_SCHEMA, TABLE_YAML


@pytest.mark.parametrize(
    ("amount", "count"),
    [
        ("8Gi", 8 * 1024 * 1024 * 1024),
        ("500Mi", 500 * 1024 * 1024),
        ("2G", 2_000_000_000),
        ("1.5Gi", 1_610_612_736),
        ("64000Ki", 65_536_000),
        ("2048k", 2_048_000),
        ("1T", 10**12),
    ],
)
def test_an_amount_of_memory_is_read_as_kubernetes_reads_it(amount, count):
    assert bytes_of(amount) == count
    assert parsed(changed(TABLE_YAML, resources={"memory": amount})).resources.memory_bytes == count


@given(st.integers(1, 4000))
def test_whole_mebibytes_are_told_as_they_are_written(count):
    assert bytes_of(amount_in_words(count * 2**20)) == count * 2**20


def test_a_worker_may_have_cores_and_a_dataset_needs_no_worker():
    assert parsed(changed(TABLE_YAML, resources={"memory": "8Gi", "cpu": 2})).resources.cpu == 2
    assert parsed(changed(TABLE_YAML, resources={"memory": "8Gi"})).resources.cpu is None
    assert parsed(TABLE_YAML).resources is None


@pytest.mark.parametrize(
    ("resources", "sentence"),
    [
        ({"memory": "8"}, "resources.memory: '8' is not an amount like 8Gi, 500Mi or 2G"),
        ({"memory": 8}, "resources.memory: '8' is not an amount like 8Gi"),
        ({"memory": "8GB"}, "resources.memory: '8GB' is not an amount like 8Gi"),
        ({"memory": "-1Gi"}, "resources.memory: '-1Gi' is not an amount like 8Gi"),
        ({"memory": "500k"}, "resources.memory: '500k' is less than 1Mi"),
        ({"cpu": 2}, "resources.memory is missing"),
        ({"memory": "8Gi", "cpu": 0}, "resources.cpu: Input should be greater than or equal to 1, not 0"),
        ({"memory": "8Gi", "cpus": 2}, "unknown key 'cpus' in resources; did you mean 'cpu'?"),
    ],
)
def test_what_is_no_amount_is_refused(resources, sentence):
    with pytest.raises(DefinitionError) as told:
        parsed(changed(TABLE_YAML, resources=resources))
    assert sentence in str(told.value)


def test_other_resources_do_not_make_the_data_anew():
    small, large = (parsed(changed(TABLE_YAML, resources={"memory": memory})) for memory in ("1Gi", "8Gi"))
    assert data_fingerprint(small, TABLE_SCHEMA) == data_fingerprint(large, TABLE_SCHEMA)
