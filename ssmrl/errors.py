"""The errors that a user can cause, kept apart from faults of the library."""

from typing import Any


class UsageError(ValueError):
    """A mistake found before tracing: one sentence with the thing, its value and the way out."""


class TrainingError(RuntimeError):
    """A run that cannot go on, such as one whose loss is no longer finite."""


def shown(value: Any) -> str:
    """Return the value as Python writes it, on one line, cut where it is long."""
    try:
        text = repr(value) if isinstance(value, str) else " ".join(repr(value).split())
    except (ValueError, RecursionError):  # numbers of 5,000 digits, nesting without end
        return "something too long to show"
    return text if len(text) <= 200 else f"{text[:60]}... ({len(text):,} characters)"
