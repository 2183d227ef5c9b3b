"""What the benchmarks share besides the clock: arguments, facts about the device, tables."""

import argparse
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax

from benchmarks.timing import Ceilings, measure_ceilings
from ssmrl.errors import UsageError
from ssmrl.train import runtime

RESULTS = Path("benchmarks") / "results"
Row = dict[str, Any]


def arguments(description: str) -> argparse.ArgumentParser:
    """Return a parser with the options of every benchmark."""
    parser = argparse.ArgumentParser(description=description, allow_abbrev=False)
    parser.add_argument(
        "--profile", type=Path, metavar="DIR", help="keep a trace of one batch of each row here"
    )
    parser.add_argument(
        "--out", type=Path, metavar="FOLDER", help=f"of the tables; by default {RESULTS}/DEVICE"
    )
    parser.add_argument("--name", help="added to the names of the tables")
    parser.add_argument("--small", action="store_true", help="tiny sizes, to try it on a CPU")
    return parser


def device_facts() -> dict[str, Any]:
    """Return what a timing depends on: device, versions, precision, use of the program cache."""
    return {
        **runtime.device_facts(),
        "matmul precision": jax.config.values["jax_default_matmul_precision"] or "default",
        "compilation cache": bool(jax.config.values["jax_compilation_cache_dir"]),
        "XLA_FLAGS": os.environ.get("XLA_FLAGS", "none"),
    }


def slug(text: str) -> str:
    """Return a name for files: small letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


class Table:
    """Rows that are printed and written as they come, so that a run that is cut off leaves some."""

    def __init__(self, folder: Path, name: str, facts: Mapping[str, Any], settings: Mapping):
        self.folder, self.name, self.facts, self.settings = folder, name, facts, settings
        self.rows: list[Row] = []
        self.notes: list[str] = []

    def add(self, row: Row) -> None:
        """Add a row; columns of speed carry their unit in their names."""
        self.rows.append(row)
        print("  ".join(f"{key} {_shown(value)}" for key, value in row.items()), flush=True)
        self._write()

    def note(self, text: str) -> None:
        """Add a sentence below the table."""
        self.notes.append(text)
        print(text, flush=True)
        self._write()

    def skip(self, what: str, error: Exception) -> None:
        """Say why a row is missing."""
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        self.note(f"{what} was left out: {reason}")

    def _write(self) -> None:
        write(self.folder, self.name, self.facts, self.settings, self.rows, self.notes)


def new_table(
    options: argparse.Namespace, facts: Mapping[str, Any], name: str, settings: Mapping[str, Any]
) -> Table:
    """Return an empty table; those of ``--small`` never go among the real ones."""
    device = slug(facts["device"]) + ("-small" if options.small else "")
    name = f"{name}-{options.name}" if options.name else name
    return Table(options.out or RESULTS / device, name, facts, settings)


def write(
    folder: Path,
    name: str,
    facts: Mapping[str, Any],
    settings: Mapping[str, Any],
    rows: Sequence[Row],
    notes: Sequence[str] = (),
) -> None:
    """Write NAME.json, and NAME.md from what that file holds."""
    folder.mkdir(parents=True, exist_ok=True)
    document = {"benchmark": name, "facts": facts, "settings": settings, "notes": notes}
    head = json.dumps(_rounded(document), indent=1).removesuffix("\n}")
    body = ",\n  ".join(json.dumps(_rounded(row)) for row in rows)
    path = folder / f"{name}.json"
    path.write_text(f'{head},\n "rows": [\n  {body}\n ]\n}}\n')
    (folder / f"{name}.md").write_text(markdown(json.loads(path.read_text())))


def markdown(document: Mapping[str, Any]) -> str:
    """Return the document as a heading, its facts and settings, a table, and the notes."""
    rows = document["rows"]
    columns = list(dict.fromkeys(key for row in rows for key in row))
    numeric = {c: any(isinstance(row.get(c), int | float) for row in rows) for c in columns}
    lines = [f"# {document['benchmark']}", ""]
    for part in ("facts", "settings"):
        lines += [", ".join(f"{k} {_shown(v)}" for k, v in document[part].items()), ""]
    if rows:
        lines.append("| " + " | ".join(columns) + " |")
        lines.append("|" + "|".join("--:" if numeric[c] else "---" for c in columns) + "|")
        lines += ["| " + " | ".join(_shown(row.get(c)) for c in columns) + " |" for row in rows]
    lines += [f"\n{note}" for note in document["notes"]]
    return "\n".join(lines) + "\n"


def _rounded(value: Any) -> Any:
    """Return the value with four digits, which is more than any timing has."""
    if isinstance(value, Mapping):
        return {key: _rounded(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(v) for v in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return "" if value is None else str(value)


@dataclass(frozen=True)
class Bench:
    """One run of a benchmark: its options, and what its rows are held against."""

    options: argparse.Namespace
    facts: Mapping[str, Any]
    ceilings: Ceilings

    @classmethod
    def start(cls, options: argparse.Namespace) -> "Bench":
        """Look at the device and measure its ceilings."""
        facts = device_facts()
        ceilings = measure_ceilings(options.small)
        facts |= ceilings.facts()
        print(", ".join(f"{key} {_shown(value)}" for key, value in facts.items()), flush=True)
        return cls(options, facts, ceilings)

    def table(self, name: str, **settings: Any) -> Table:
        """Return an empty table."""
        return new_table(self.options, self.facts, name, settings)

    def trace(self, *labels: Any) -> Path | None:
        """Return the folder for the profile of a row, or None where none was asked for."""
        profile = self.options.profile
        return None if profile is None else profile / slug(" ".join(map(str, labels)))


# What can keep one row from being timed and need not end the others: a thing that this device or
# shape does not have, and too little memory.
LEFT_OUT = (UsageError, jax.errors.JaxRuntimeError)
