"""How ``resources.dask`` is written in dataset.yaml, and the cluster that Kubernetes is asked for."""

from __future__ import annotations

import pytest

from rimrep_assets.domain.dask_resources import DaskOperator, cluster_spec
from rimrep_assets.domain.errors import DefinitionError
from rimrep_assets.domain.plan import data_fingerprint
from rimrep_assets_tests.domain import test_dataset
from rimrep_assets_tests.domain.test_dataset import changed
from rimrep_assets_tests.worlds import GRID, GRID_YAML, TABLE, TABLE_YAML


def parsed(raw, folder=GRID):
    return test_dataset.parsed(raw, folder)


@pytest.mark.parametrize(
    "dask",
    [
        {"workers": 2},
        {"workers": 2, "memory": "4Gi"},
        {"scheduler": "tcp://scheduler.dask:8786"},
        {"scheduler": "tls://10.0.0.7:8786"},
        {"operator": {"image": "rimrep:1", "workers": 8, "memory": "8Gi", "secrets": ["store-keys"]}},
    ],
)
def test_a_grid_may_ask_for_workers_in_three_ways(dask):
    resources = parsed(changed(GRID_YAML, resources={"dask": dask})).resources
    assert resources.dask.model_dump(exclude_unset=True) == {
        **dask,
        **({"operator": {**dask["operator"], "secrets": ("store-keys",)}} if "operator" in dask else {}),
    }
    assert resources.memory is None


def test_the_stager_itself_may_have_a_worker_besides():
    resources = parsed(changed(GRID_YAML, resources={"memory": "8Gi", "cpu": 2, "dask": {"workers": 2}})).resources
    assert (resources.memory_bytes, resources.cpu, resources.dask.workers) == (8 * 2**30, 2, 2)


@pytest.mark.parametrize(
    ("resources", "sentence"),
    [
        ({"dask": {}}, "name one of workers, scheduler and operator, not none"),
        ({"dask": {"workers": 2, "scheduler": "tcp://a:1"}}, "not workers and scheduler"),
        ({"dask": {"workers": 0}}, "resources.dask.workers: Input should be greater than or equal to 1, not 0"),
        ({"dask": {"scheduler": "scheduler.dask"}}, "'scheduler.dask' is not the address of a scheduler"),
        ({"dask": {"scheduler": "tcp://me:secret@a:1"}}, "is not the address of a scheduler"),
        ({"dask": {"scheduler": "tcp://a:1", "memory": "4Gi"}}, "memory belongs to workers"),
        ({"dask": {"workers": 2, "memory": "4GB"}}, "resources.dask.memory: '4GB' is not an amount like 8Gi"),
        ({"dask": {"operator": {}}}, "resources.dask.operator.image is missing"),
        ({"dask": {"operator": {"image": "a", "namespace": "A B"}}}, "'A B' is not the name of a namespace"),
        ({"dask": {"operator": {"image": "a", "memory": "1k"}}}, "'1k' is less than 1Mi"),
        ({"dask": {"workers": 2}, "cpu": 2}, "cpu belongs to a worker, which memory asks for"),
        ({"dask": {"worker": 2}}, "unknown key 'worker' in resources.dask; did you mean 'workers'?"),
        ({}, "resources.memory is missing (or resources.dask)"),
    ],
)
def test_what_cannot_be_is_refused(resources, sentence):
    with pytest.raises(DefinitionError) as told:
        parsed(changed(GRID_YAML, resources=resources))
    assert sentence in str(told.value)


def test_a_table_has_no_blocks_to_share_out():
    with pytest.raises(DefinitionError, match=r"resources\.dask belongs to grids"):
        parsed(changed(TABLE_YAML, resources={"dask": {"workers": 2}}), TABLE)


def test_who_writes_does_not_make_the_data_anew():
    alone, shared = parsed(GRID_YAML), parsed(changed(GRID_YAML, resources={"dask": {"workers": 2}}))
    assert data_fingerprint(alone, None) == data_fingerprint(shared, None)


def test_kubernetes_is_asked_for_the_declared_workers():
    operator = DaskOperator(image="rimrep:1", workers=3, memory="8Gi", cpu=2, secrets=("keys",), service_account="dms")
    spec = cluster_spec(operator, "rimrep-d-1")
    assert (spec["apiVersion"], spec["kind"]) == ("kubernetes.dask.org/v1", "DaskCluster")
    assert spec["metadata"] == {"name": "rimrep-d-1", "namespace": "default"}
    worker = spec["spec"]["worker"]
    (container,) = worker["spec"]["containers"]
    assert worker["replicas"] == 3
    assert container["name"] == "worker"
    assert container["image"] == "rimrep:1"
    assert container["resources"]["limits"] == {"memory": "8Gi", "cpu": "2"}
    assert container["envFrom"] == [{"secretRef": {"name": "keys"}}]
    assert container["args"][:4] == ["dask", "worker", "--name", "$(DASK_WORKER_NAME)"]
    assert worker["spec"]["serviceAccountName"] == "dms"
    scheduler = spec["spec"]["scheduler"]
    (container,) = scheduler["spec"]["containers"]
    assert container["env"] == [{"name": "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES", "value": "2"}]
    assert {port["name"]: port["containerPort"] for port in container["ports"]} == {
        "tcp-comm": 8786,
        "http-dashboard": 8787,
    }
    # The operator looks for these names.
    assert [port["name"] for port in scheduler["service"]["ports"]] == ["tcp-comm", "http-dashboard"]
    assert scheduler["service"]["selector"] == {
        "dask.org/cluster-name": "rimrep-d-1",
        "dask.org/component": "scheduler",
    }
