"""Checkpoints that are either whole or not there, and that notice when they were damaged."""

import json
import os
import zlib
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp
import tensorstore

from ssmrl.errors import UsageError
from ssmrl.train.disk import check_room
from ssmrl.train.run_folder import unused
from ssmrl.train.sizes import bytes_of

FILES_ABOUT = 2**20  # bytes of what orbax writes beside the arrays, more than it takes


class Checkpoints:
    """The newest few states of a run, by number of updates.

    Orbax writes each into a folder of its own and renames that when it is whole. Beside it,
    ``UPDATE.json`` holds the shapes of the state's leaves and the checksums of the files, which
    tell a damaged checkpoint from one of another configuration before anything is read.
    Raises ``UsageError`` where something else than a folder has the folder's name, or nothing
    has it with ``must_exist``.
    """

    def __init__(self, folder: Path, keep: int = 3, *, must_exist: bool = False):
        if must_exist and not os.path.lexists(folder):
            raise _none_in(folder)
        if os.path.lexists(folder) and not folder.is_dir():
            raise UsageError(f"{str(folder)!r} is no folder of checkpoints; start a new run")
        self._given, self._folder = folder, folder.resolve()
        options = ocp.CheckpointManagerOptions(max_to_keep=keep, enable_async_checkpointing=False)
        self._manager = ocp.CheckpointManager(self._folder, options=options)

    def newest(self) -> int | None:
        """Return the update of the newest checkpoint, whole or not."""
        return self._manager.latest_step()

    def what_is_left(self) -> str:
        """Return in words what a run that stops now can go on from."""
        saved = self.newest()
        if saved is None:
            return "there is no checkpoint yet"
        return f"the checkpoint after update {saved} stays in {self._given}"

    def save(self, update: int, state: Any) -> None:
        """Write the state; a process killed on the way leaves the older checkpoints as they are."""
        # Threads of orbax's and tensorstore's print what they meet at a full disk.
        check_room(self._folder, bytes_of(state) + FILES_ABOUT)
        if not self._manager.save(update, args=ocp.args.StandardSave(_without_empty(state))):
            raise RuntimeError(f"orbax did not save update {update} in {self._folder}")
        manifest = {"leaves": _leaves(state), "files": self._files(update)}
        unfinished = self._folder / ".manifest"
        unfinished.write_text(json.dumps(manifest))
        unfinished.replace(self._manifest(update))
        for path in self._folder.glob("*.json"):
            gone = path.stem.isdigit() and int(path.stem) not in self._manager.all_steps()
            if gone and path.is_file():
                path.unlink()

    def restore(self, like: Any, *, part: bool = False) -> tuple[int, Any, list[str]]:
        """Return update and state of the newest whole checkpoint, and a warning per damaged one.

        ``like`` is a tree of shapes and dtypes; with ``part``, it holds only those fields of the
        state that are wanted. Raises ``UsageError`` where no checkpoint is whole, or the newest
        that is has other leaves.
        """
        try:
            return self._restore(like, part)
        except FileNotFoundError:  # removed while it was read, by a run that goes on
            self._manager.reload()
            return self._restore(like, part)

    def _restore(self, like: Any, part: bool) -> tuple[int, Any, list[str]]:
        # Not the devices in the checkpoint: it may come from a machine with other devices.
        here = jax.sharding.SingleDeviceSharding(jax.devices()[0])
        like = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=here), like)
        warnings: list[str] = []
        for update in self._named():
            state = self._restore_whole(update, like, part)
            if state is not None:
                return update, state, warnings
            warnings.append(f"checkpoint {update} is damaged and was passed over")
        where = str(self._folder)
        if warnings:
            raise UsageError(f"every checkpoint in {where!r} is damaged; start a new run")
        raise _none_in(self._folder)

    def _named(self) -> list[int]:
        """Return the updates after which something in the folder is named, the newest first."""
        return sorted((int(n) for n in os.listdir(self._folder) if n.isdecimal()), reverse=True)

    def _restore_whole(self, update: int, like: Any, part: bool) -> Any:
        """Return the state, or None where it is damaged."""
        if not (self._folder / str(update)).is_dir():
            return None
        if os.path.lexists(self._manifest(update)):
            manifest = self._read_manifest(update)
            if manifest is None or manifest["files"] != self._files(update):
                return None
            _check_fits(update, manifest["leaves"], like, part)
            return self._read(update, like, part)
        # The process was killed before the manifest was written, or files were lost.
        if not self._is_committed(update):
            return None
        try:
            _read_all(self._folder / str(update) / "default")
            return self._read(update, like, part)
        except Exception:  # of orbax's and tensorstore's, whatever they are
            return None

    def _read(self, update: int, like: Any, part: bool) -> Any:
        wanted = _without_empty(like)
        if not part:
            restored = self._manager.restore(update, args=ocp.args.StandardRestore(wanted))
            return _with_empty(restored, like)
        args = ocp.args.PyTreeRestore(
            wanted,
            restore_args=ocp.checkpoint_utils.construct_restore_args(wanted),
            partial_restore=True,
        )
        folder = self._folder / str(update) / "default"
        return _with_empty(ocp.PyTreeCheckpointer().restore(folder, args=args), like)

    def set_aside_after(self, update: int) -> None:
        """Rename what is newer, so that it does not stand in the way of what comes next."""
        for newer in [step for step in self._named() if step > update]:
            aside = unused(self._folder / f"damaged-{newer}")
            (self._folder / str(newer)).rename(aside)
            if os.path.lexists(self._manifest(newer)):
                self._manifest(newer).rename(unused(aside.with_suffix(".json")))
        self._manager.reload()

    def _manifest(self, update: int) -> Path:
        return self._folder / f"{update}.json"

    def _files(self, update: int) -> dict[str, int]:
        folder = self._folder / str(update)
        files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        return {str(path.relative_to(folder)): zlib.crc32(path.read_bytes()) for path in files}

    def _read_manifest(self, update: int) -> dict[str, Any] | None:
        """Return the manifest, or None where what has its name is none."""
        try:
            manifest = json.loads(self._manifest(update).read_text())
        except FileNotFoundError:
            raise  # removed by a run that goes on
        except (OSError, ValueError, RecursionError):
            return None
        if not isinstance(manifest, dict):
            return None
        parts = (manifest.get(name) for name in ("leaves", "files"))
        return manifest if all(isinstance(part, dict) for part in parts) else None

    def _is_committed(self, update: int) -> bool:
        """Return whether orbax says that it wrote the checkpoint to its end."""
        try:
            noted = json.loads((self._folder / str(update) / "_CHECKPOINT_METADATA").read_text())
        except (OSError, ValueError, RecursionError):
            return False
        return isinstance(noted, dict) and isinstance(noted.get("commit_timestamp_nsecs"), int)


def _none_in(folder: Path) -> UsageError:
    return UsageError(f"there is no checkpoint in {str(folder)!r}; start a new run")


def _check_fits(update: int, saved: dict[str, str], like: Any, part: bool) -> None:
    expected = _leaves(like)
    for path in sorted(set(expected) | set(() if part else saved)):
        found, wanted = saved.get(path), expected.get(path)
        if found != wanted:
            raise UsageError(
                f"checkpoint {update} does not fit the run's config: {path} is {found} there, "
                f"but {wanted} by the config; restore the config or the code that it came from"
            )


def _read_all(folder: Path) -> None:
    """Read every key of a checkpoint, in turn: what is missing raises here.

    Orbax reads all at once, and at a missing one leaves the others to fail in the background.
    """
    store = tensorstore.KvStore.open({"driver": "ocdbt", "base": f"file://{folder}/"}).result()
    for key in store.list().result():
        store.read(key).result()


def _without_empty(state: Any) -> Any:
    """Leave out arrays without elements, such as MuJoCo's states have: orbax refuses them."""
    return jax.tree.map(lambda x: x if x.size else None, state)


def _with_empty(state: Any, like: Any) -> Any:
    fill = lambda x, saved: jnp.zeros(x.shape, x.dtype) if saved is None else saved  # noqa: E731
    return jax.tree.map(fill, like, state)


def _leaves(state: Any) -> dict[str, str]:
    leaves = jax.tree_util.tree_leaves_with_path(state)
    return {jax.tree_util.keystr(path): f"{x.dtype}{list(x.shape)}" for path, x in leaves}
