"""Checkpoints that are either whole or not there, and that notice when they were damaged."""

import contextlib
import logging
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from ssmrl.errors import UsageError


class Checkpoints:
    """The newest few states of a run, by number of updates (orbax writes and renames)."""

    def __init__(self, folder: Path, keep: int = 3):
        options = ocp.CheckpointManagerOptions(max_to_keep=keep, enable_async_checkpointing=False)
        self._manager = ocp.CheckpointManager(folder.resolve(), options=options)

    def save(self, update: int, state: Any) -> None:
        """Write the state; a process killed on the way leaves the older checkpoints as they are."""
        self._manager.save(
            update,
            args=ocp.args.Composite(
                state=ocp.args.StandardSave(state), check=ocp.args.JsonSave(_checksums(state))
            ),
        )

    def restore(self, like: Any) -> tuple[int, Any, list[str]]:
        """Return update and state of the newest whole checkpoint, and a warning per damaged one.

        ``like`` is a tree of shapes and dtypes. Raises ``UsageError`` where no checkpoint is whole.
        """
        warnings: list[str] = []
        for update in sorted(self._manager.all_steps(), reverse=True):
            try:
                with _quiet():
                    return update, self._restore(update, like), warnings
            except Exception as error:  # whatever a damaged file makes orbax raise
                reason = " ".join(str(error).split())[:100]
                warnings.append(f"checkpoint {update} is damaged and was passed over ({reason})")
        where = str(self._manager.directory)
        if warnings:
            raise UsageError(f"every checkpoint in {where!r} is damaged; start a new run")
        raise UsageError(f"there is no checkpoint in {where!r}; start a new run")

    def newest(self) -> int | None:
        """Return the update of the newest checkpoint, whole or not."""
        return self._manager.latest_step()

    def _restore(self, update: int, like: Any) -> Any:
        args = ocp.args.Composite(
            state=ocp.args.StandardRestore(like), check=ocp.args.JsonRestore()
        )
        restored = self._manager.restore(update, args=args)
        if _checksums(restored.state) != restored.check:
            raise ValueError("its content is not what was saved")
        return restored.state


def _checksums(state: Any) -> dict[str, int]:
    sums = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(state):
        if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            leaf = jax.random.key_data(leaf)
        sums[jax.tree_util.keystr(path)] = zlib.crc32(np.ascontiguousarray(leaf).tobytes())
    return sums


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hold back what orbax logs about a file that turns out to be damaged; we say it ourselves."""
    loggers = [logging.getLogger(name) for name in ("absl", "asyncio")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
