"""What Icechunk says, sorted: a local folder and S3 say the same in other words."""

from __future__ import annotations

import pytest

from rimrep_assets.ports.icechunk_errors import is_damage, reason_of

LOST_LOCALLY = """  x object store error Object at location /s/g/data.icechunk/chunks/V40N not found: No such file or directory (os error 2)
  |
  | context:
  |    0: icechunk::storage::object_store::get_object_range_buf
  |            with settings=Settings { retries: None } key="chunks/V40N" range=0..30067
  `-> No such file or directory (os error 2)
"""
LOST_ON_S3 = """  x error getting object from object store service error
  |
  | context:
  |    0: icechunk::storage::s3::get_object_range_read
  |            with settings=Settings { concurrency: None, retries: None,
  | chunks_storage_class: None } key="g/data.icechunk/chunks/TBVK" range=0..30067
  |    3: icechunk::store::get
  |            with key="a/c/0/0/0" byte_range=From(0)
  |
  |-> error getting object from object store service error
  |-> service error
  |-> NoSuchKey: The specified key does not exist.
  `-> NoSuchKey: The specified key does not exist.
"""
NO_ANSWER = """  x error getting object metadata from object store dispatch failure
  |
  | context:
  |-> dispatch failure
  `-> tcp connect error: Connection refused (os error 111)
"""


@pytest.mark.parametrize(
    ("said", "reason", "damage"),
    [
        (
            LOST_LOCALLY,
            "object store error Object at location /s/g/data.icechunk/chunks/V40N not found: "
            "No such file or directory (os error 2)",
            True,
        ),
        (
            LOST_ON_S3,
            "error getting object from object store service error: NoSuchKey: The specified key does not exist. "
            "(object g/data.icechunk/chunks/TBVK)",
            True,
        ),
        (
            NO_ANSWER,
            "error getting object metadata from object store dispatch failure: "
            "tcp connect error: Connection refused (os error 111)",
            False,
        ),
        ("", "no message", False),
    ],
)
def test_what_is_lost_is_told_from_a_storage_that_does_not_answer(said, reason, damage):
    assert reason_of(Exception(said)) == reason
    assert is_damage(reason) is damage
