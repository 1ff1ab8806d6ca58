"""The platform on S3, with its credentials in a resource that Dagster's users know.

Here belongs taking access to S3 from ``S3Resource``. Not here: what is the same on every store (``resources``). A
module of its own, because importing boto3 takes seconds, which a platform on a local folder need not wait.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import dagster as dg
from dagster_aws.s3 import S3Resource

from rimrep_assets.defs.resources import Platform
from rimrep_assets.ports.object_store import S3Access
from rimrep_assets.ports.workbench import Settings

VARIABLES = {
    "aws_access_key_id": "AWS_ACCESS_KEY_ID",
    "aws_secret_access_key": "AWS_SECRET_ACCESS_KEY",
    "aws_session_token": "AWS_SESSION_TOKEN",
}


class PlatformOnS3(Platform):
    """A platform whose stores are reached as ``s3`` says: endpoint, region, and keys or a profile."""

    s3: S3Resource

    def settings(self) -> Settings:
        """See ``Platform.settings``; where the resource names no keys, the profile's or the environment's are used."""
        there = super().settings()
        keys = (self.s3.aws_access_key_id, self.s3.aws_secret_access_key, self.s3.aws_session_token)
        if not keys[0] and self.s3.profile_name:
            import boto3

            found = boto3.Session(profile_name=self.s3.profile_name).get_credentials().get_frozen_credentials()
            keys = (found.access_key, found.secret_key, found.token)
        told = S3Access(
            endpoint_url=self.s3.endpoint_url or there.s3.endpoint_url,
            access_key_id=keys[0] or there.s3.access_key_id,
            secret_access_key=keys[1] or there.s3.secret_access_key,
            session_token=keys[2] or there.s3.session_token,
            region=self.s3.region_name or there.s3.region,
        )
        return replace(there, s3=told)


def s3_resource_from(environment: Mapping[str, str]) -> S3Resource:
    """The resource as the environment says. Keys are named, not copied, so that no page of Dagster shows them."""
    access = S3Access.from_environment(environment)
    keys: dict[str, Any] = {field: dg.EnvVar(name) for field, name in VARIABLES.items() if environment.get(name)}
    return S3Resource(endpoint_url=access.endpoint_url, region_name=access.region, **keys)
