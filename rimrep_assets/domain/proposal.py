"""A proposed ``dataset.yaml``: keys, and for every guessed one why it was guessed.

Here belongs rendering it with its reasons as comments, and handing it over as a dataset. Not here: guessing
(``proposal_table``, ``proposal_grid``, ``proposal_words``) or writing files (``ports/proposing``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import yaml

from rimrep_assets.domain.dataset import Dataset, dataset_from_yaml
from rimrep_assets.domain.grid_steps import RULES_OF_FILES
from rimrep_assets.domain.proposal_marks import GUESS, without_marks

ORDER = (
    "id",
    "collection",
    "format",
    "access",
    "data_sharing_agreement",
    "coordinates",
    "source",
    "convert",
    "layout",
    "partition",
    "update",
)
AGREEMENT = f"{GUESS}the reference of the agreement under which this data may be kept"
LONGEST_REASON = 160


@dataclass(frozen=True)
class Guess:
    """One value that a person should look at: where it stands, and why it was guessed."""

    file: str
    key: str
    value: str
    why: str


@dataclass
class Draft:
    """``dataset.yaml`` being drafted; ``convert`` is a mapping of steps, ``why`` is by dotted key."""

    keys: dict[str, Any]
    why: dict[str, str] = field(default_factory=dict)
    shown: dict[str, str] = field(default_factory=dict)
    """dotted key -> what is told of the guess instead of its value"""

    def put(self, key: str, value: Any, why: str = "") -> None:
        """Set a dotted key; with ``why`` it is a guess."""
        *above, last = key.split(".")
        holder = self.keys
        for name in above:
            holder = holder.setdefault(name, {})
        holder[last] = value
        if why:
            self.why[key] = why

    def copy(self) -> Draft:
        """The same draft, to be changed without changing this one."""
        return Draft(deepcopy(self.keys), dict(self.why), dict(self.shown))

    def dataset(self) -> Dataset:
        """The dataset as it is probed: as public data, because an agreement cannot be guessed, its rules confirmed.

        Raises: DefinitionError when the draft is not a valid dataset.
        """
        probed = {**self.copy().keys, "access": "public"}
        probed.pop("data_sharing_agreement", None)
        steps = probed.get("convert", {})
        steps |= without_marks({name: steps[name] for name in RULES_OF_FILES if name in steps})
        return dataset_from_yaml(Draft(probed).text(), folder=str(self.keys["id"]))

    def text(self) -> str:
        """``dataset.yaml`` with ``# guess: why`` behind every guess."""
        lines: list[str] = []
        for key in (key for key in ORDER if self.keys.get(key) not in (None, {}, [])):
            value = self.keys[key]
            if not isinstance(value, Mapping):
                lines.append(f"{key}: {_flow(value)}{self._mark(key)}")
                continue
            lines.append(f"{key}:{self._mark(key)}")
            dash = "  - " if key == "convert" else "  "
            lines += [f"{dash}{name}: {_flow(one)}{self._mark(f'{key}.{name}')}" for name, one in value.items()]
        return "\n".join(lines) + "\n"

    def _mark(self, key: str) -> str:
        told = [self.shown.get(key), self.why.get(key)]
        return f"  # guess: {in_one_line('; '.join(filter(None, told)), 300)}" if key in self.why else ""

    def guesses(self, file: str) -> list[Guess]:
        """Every guess of the draft, in the order of the file."""
        found = []
        for key in ORDER:
            names = [name for name in self.why if name == key or name.startswith(f"{key}.")]
            found += [
                Guess(file, name, self.shown.get(name) or _flow(self._at(name)), in_one_line(self.why[name]))
                for name in names
            ]
        return found

    def _at(self, key: str) -> Any:
        value: Any = self.keys
        for name in key.split("."):
            value = value.get(name) if isinstance(value, Mapping) else None
        return value


def in_one_line(text: str, most: int = LONGEST_REASON) -> str:
    """``text`` without line breaks and control characters, cut at ``most`` characters; files may say anything."""
    plain = re.sub(r"[\s\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff]+", " ", text).strip()
    return plain if len(plain) <= most else f"{plain[: most - 1]}…"


def _flow(value: Any) -> str:
    """YAML in one line."""
    for readable in (True, False):
        dumped = yaml.safe_dump(
            [value], default_flow_style=True, width=1_000_000, allow_unicode=readable, sort_keys=False
        ).strip()
        # Some letters break lines in YAML: those are written as escapes.
        if len(dumped.splitlines()) == 1 and yaml.safe_load(dumped) == [value]:
            break
    return dumped[1:-1]
