"""The one tree of errors, sorted by what a person does next.

Here belongs what an error says and how it reads. Not here: translating it for Dagster (``defs/failures.py``)
or into exit codes (``cli.py``).
"""

from __future__ import annotations

from collections.abc import Sequence


class RimrepError(Exception):
    """Names the dataset, everything that is wrong, and what to do about it."""

    advice_by_default = ""

    def __init__(self, problems: str | Sequence[str], *, dataset: str | None = None, advice: str | None = None) -> None:
        self.problems: tuple[str, ...] = (problems,) if isinstance(problems, str) else tuple(problems)
        self.dataset = dataset
        self.advice = self.advice_by_default if advice is None else advice
        super().__init__(*self.problems)

    def __reduce__(self) -> tuple[object, ...]:
        # What is raised in another process arrives whole; exceptions are made again of ``args`` alone otherwise.
        return _again, (type(self), self.problems, self.dataset, self.advice)

    def about(self, dataset: str) -> RimrepError:
        """Name the dataset, unless somebody nearer to the cause already did; return the error itself."""
        self.dataset = self.dataset or dataset
        return self

    def __str__(self) -> str:
        head = f"{self.dataset}: " if self.dataset else ""
        if len(self.problems) == 1:
            text = head + self.problems[0]
        else:
            text = f"{head}{len(self.problems)} problems\n" + "\n".join(f"  - {p}" for p in self.problems)
        return f"{text}\nWhat to do: {self.advice}" if self.advice else text


def _again(kind: type[RimrepError], problems: tuple[str, ...], dataset: str | None, advice: str) -> RimrepError:
    return kind(problems, dataset=dataset, advice=advice)


class DefinitionError(RimrepError):
    """The catalog is wrong."""

    advice_by_default = "edit the dataset's folder in the catalog, then run `rimrep check`."


class DataError(RimrepError):
    """The data contradicts the catalog, or itself."""

    advice_by_default = "ask the provider about these files, or change the catalog if the data is right."


class Damaged(DataError):
    """What a release put into the store is gone, or is not what was put there."""

    advice_by_default = (
        "run `rimrep verify` to see all that is damaged; `rimrep publish DATASET --rebuild` makes the data again from "
        "its sources, as a new release."
    )


class GateRefusal(DataError):
    """A check of the gate failed; nothing was published."""

    advice_by_default = "mend what the checks name and publish again; what is published stays as it was."


class Unavailable(RimrepError):
    """Someone else's server did not answer as it should; the only error worth a retry."""

    advice_by_default = "try again later; nothing was changed."
