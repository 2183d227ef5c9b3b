"""The errors that a user can cause, kept apart from faults of the library."""


class UsageError(ValueError):
    """A mistake found before tracing: one sentence with the thing, its value and the way out."""


class TrainingError(RuntimeError):
    """A run that cannot go on, such as one whose loss is no longer finite."""
