"""Where a grid's blocks are written when one machine is not enough: ``resources.dask`` in ``dataset.yaml``.

Here belongs what a curator may ask of dask, and the cluster that Kubernetes is asked for, as values. Not here: opening
a cluster (``ports/dask_cluster``), or what its workers do (``ports/dask_blocks``).
"""

from __future__ import annotations

import re
from typing import Any

from pydantic import Field, field_validator, model_validator

from rimrep_assets.domain.amounts import checked_amount
from rimrep_assets.domain.strict_model import StrictModel

ADDRESS = re.compile(r"(tcp|tls|ws|wss)://[^\s/@]+:\d{1,5}")
KUBERNETES_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
COMM_PORT, DASHBOARD_PORT = 8786, 8787
DEATHS = 3
"""a block at which so many workers died is given up, where the scheduler is ours"""
FORGIVEN = "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES"
"""environment variable by which a scheduler is told how many deaths it forgives"""


class DaskOperator(StrictModel):
    """A cluster of its own for the time of one staging, made by dask's Kubernetes operator."""

    image: str
    """holds rimrep_assets in the version of the process that stages, and distributed"""
    workers: int = Field(default=2, ge=1)
    memory: str = "4Gi"
    """of each worker"""
    cpu: int = Field(default=1, ge=1)
    """of each worker; it writes as many blocks at a time"""
    namespace: str = "default"
    service_account: str | None = None
    secrets: tuple[str, ...] = ()
    """Kubernetes secrets that become the workers' environment: how they reach the store and the source"""

    @field_validator("memory", mode="before")
    @classmethod
    def _is_amount(cls, value: Any) -> Any:
        return checked_amount(value)

    @field_validator("namespace")
    @classmethod
    def _is_name(cls, value: str) -> str:
        if not KUBERNETES_NAME.fullmatch(value):
            raise ValueError(f"{value!r} is not the name of a namespace")
        return value


class Dask(StrictModel):
    """One of: ``workers`` processes of this machine, a ``scheduler`` that runs already, the Kubernetes ``operator``."""

    workers: int | None = Field(default=None, ge=1)
    memory: str | None = None
    """most that each of ``workers`` may hold; it is started anew when it holds more"""
    scheduler: str | None = None
    """address, e.g. ``tcp://scheduler.dask:8786``"""
    operator: DaskOperator | None = None

    @field_validator("memory", mode="before")
    @classmethod
    def _is_amount(cls, value: Any) -> Any:
        return None if value is None else checked_amount(value)

    @field_validator("scheduler")
    @classmethod
    def _is_address(cls, value: str | None) -> str | None:
        return value if value is None else checked_scheduler(value)

    @model_validator(mode="after")
    def _is_one_of_three(self) -> Dask:
        told = [name for name in ("workers", "scheduler", "operator") if getattr(self, name) is not None]
        if len(told) != 1:
            raise ValueError(f"name one of workers, scheduler and operator, not {' and '.join(told) or 'none'}")
        if self.memory is not None and self.workers is None:
            raise ValueError("memory belongs to workers; a scheduler's workers and the operator's have their own")
        return self


def checked_scheduler(address: str) -> str:
    """The address of a scheduler as it is. Raises: ValueError for what is none."""
    if not ADDRESS.fullmatch(address):
        raise ValueError(f"{address!r} is not the address of a scheduler, like tcp://scheduler.dask:8786")
    return address


def cluster_spec(operator: DaskOperator, name: str) -> dict[str, Any]:
    """The ``DaskCluster`` that Kubernetes is asked for.

    Source: https://kubernetes.dask.org/en/latest/operator_resources.html#daskcluster
    """
    environment = [{"secretRef": {"name": secret}} for secret in operator.secrets]
    common: dict[str, Any] = {"image": operator.image, "imagePullPolicy": "IfNotPresent", "envFrom": environment}
    account = {"serviceAccountName": operator.service_account} if operator.service_account else {}
    amounts = {"memory": operator.memory, "cpu": str(operator.cpu)}
    worker = {
        **common,
        "name": "worker",
        "args": [
            *("dask", "worker", "--name", "$(DASK_WORKER_NAME)", "--nthreads", str(operator.cpu)),
            *("--memory-limit", str(operator.memory), "--no-dashboard"),
        ],
        "resources": {"requests": amounts, "limits": amounts},
    }
    health = {"httpGet": {"port": "http-dashboard", "path": "/health"}, "periodSeconds": 10}
    scheduler = {
        **common,
        "name": "scheduler",
        "args": ["dask", "scheduler"],
        "env": [{"name": FORGIVEN, "value": str(DEATHS - 1)}],
        "ports": [_port("tcp-comm", COMM_PORT), _port("http-dashboard", DASHBOARD_PORT)],
        "readinessProbe": {**health, "initialDelaySeconds": 0},
        "livenessProbe": {**health, "initialDelaySeconds": 15},
    }
    return {
        "apiVersion": "kubernetes.dask.org/v1",
        "kind": "DaskCluster",
        "metadata": {"name": name, "namespace": operator.namespace},
        "spec": {
            "worker": {"replicas": operator.workers, "spec": {"containers": [worker], **account}},
            "scheduler": {
                "spec": {"containers": [scheduler], **account},
                "service": {
                    "type": "ClusterIP",
                    "selector": {"dask.org/cluster-name": name, "dask.org/component": "scheduler"},
                    "ports": [_served("tcp-comm", COMM_PORT), _served("http-dashboard", DASHBOARD_PORT)],
                },
            },
        },
    }


def _port(name: str, number: int) -> dict[str, Any]:
    return {"name": name, "containerPort": number, "protocol": "TCP"}


def _served(name: str, number: int) -> dict[str, Any]:
    return {"name": name, "port": number, "targetPort": name, "protocol": "TCP"}
