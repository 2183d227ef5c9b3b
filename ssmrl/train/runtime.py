"""How JAX is set up before anything is compiled."""

import logging
import os
import platform
from pathlib import Path
from typing import Any


def set_up_jax() -> None:
    """Prepare for a command: programs are cached, and numbers have 32 bits.

    Agents, checkpoints and most environments are made for 32 bits, so that JAX_ENABLE_X64, which
    somebody may have set for other programs, changes nothing here.
    """
    import jax

    jax.config.update("jax_enable_x64", False)
    enable_compilation_cache()
    # Where orbax warns of damaged checkpoints, and leaves behind what fails at a full disk: both
    # are told in our own words.
    logging.getLogger("absl").setLevel(logging.CRITICAL)
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)


def enable_compilation_cache() -> None:
    """Keep compiled programs in the user's cache folder, so that a second start is quick.

    JAX's own variables come first: ``JAX_COMPILATION_CACHE_DIR`` moves the cache and
    ``JAX_ENABLE_COMPILATION_CACHE=false`` switches it off.
    """
    import jax

    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        jax.config.update("jax_compilation_cache_dir", str(Path(base) / "ssmrl" / "jax"))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


def device_facts() -> dict[str, Any]:
    """Return what speed and rounding depend on: the device and the versions."""
    import flax
    import jax
    import jaxlib

    device = jax.devices()[0]
    return {
        "device": device.device_kind,
        "platform": device.platform,
        "jax": jax.__version__,
        "jaxlib": jaxlib.__version__,
        "flax": flax.__version__,
        "python": platform.python_version(),
    }
