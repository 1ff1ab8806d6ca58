"""Our errors as Dagster's failures: the only place that translates.

Here belongs which error may be retried and what a person reads in the UI. Not here: the errors themselves
(``domain/errors``).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from rimrep_assets.domain.errors import RimrepError, Unavailable

NO_RUN_RETRY = {"dagster/retry_on_asset_or_op_failure": "false"}
KIND = "error_kind"
TRIES_AGAIN, FIRST_WAIT_S = 2, 5
"""so often is a step tried again when someone else's server did not answer; each wait is twice the one before"""


def as_failure(error: RimrepError) -> dg.Failure:
    """Translate for Dagster; only someone else's server is worth a retry."""
    return dg.Failure(
        str(error),
        metadata={KIND: type(error).__name__, "problems": list(error.problems)},
        allow_retries=isinstance(error, Unavailable),
    )


@contextmanager
def failures_for_dagster(context: dg.AssetExecutionContext, dataset: str | None = None) -> Iterator[None]:
    """Raise our errors as failures about ``dataset``; a failure that no retry mends also ends the run's retries."""
    try:
        yield
    except RimrepError as error:
        if dataset:
            error.about(dataset)
        if not isinstance(error, Unavailable):
            # `allow_retries` stops the op's retries only; the run would be launched again without this tag.
            context.instance.add_run_tags(context.run_id, NO_RUN_RETRY)
            raise as_failure(error) from error
        # No RetryPolicy: with one, Dagster would also begin again what somebody interrupts.
        wait = FIRST_WAIT_S * 2**context.retry_number
        raise dg.RetryRequested(max_retries=TRIES_AGAIN, seconds_to_wait=wait) from as_failure(error)
