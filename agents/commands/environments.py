"""What the commands about environments do."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image
from rich.color import Color
from rich.style import Style
from rich.text import Text

from agents.commands.findings import console, report
from agents.episode import picture
from ssmrl.errors import UsageError
from ssmrl.foreign import Finding


def check(name: str, settings: Mapping[str, Any]) -> int:
    """Print what ``examine`` finds, subject by subject; 0 where there is no fault."""
    import envs
    from envs.examine import examine
    from envs.meta.mixture import members_of

    def found(made: tuple[Any, Any]) -> Iterator[Finding]:
        for member, env, params in members_of(*made):
            for finding in look_at(env, params):
                where = f"{member}: " if member else ""
                yield replace(finding, subject=f"{where}{finding.subject}")

    def look_at(env: Any, params: Any) -> Iterator[Finding]:
        at_fault = set()
        for finding in examine(env, params):
            at_fault |= {finding.subject} if finding.fault else set()
            yield finding
        if "contract" not in at_fault:  # or there may be no space to ask for
            yield Finding("action head", fault=_without_head(env.action_space(params)))

    return report(name, lambda: envs.make(name, **settings), found)


def _without_head(space: Any) -> str | None:
    from agents.parts import action_head

    try:
        action_head(space)
    except UsageError as error:
        return str(error)
    return None


def play(name: str, settings: Mapping[str, Any]) -> int:
    """Let a person play in the terminal; numbers are an action, ? reveals the state, q ends."""
    import envs

    env, params = envs.make(name, **settings)
    envs.check_environment(env, params)
    space = env.action_space(params)
    step = jax.jit(lambda *args: env.step(*args, params))
    key, key_reset = jax.random.split(jax.random.key(time.time_ns()))
    obs, state = jax.jit(lambda key: env.reset(key, params))(key_reset)
    console.print(f"{name}: actions are {space!r}; an empty line repeats the last one,")
    console.print("? shows the true state, q ends")
    action, total, steps = None, 0.0, 0
    while True:
        typed = _ask(f"you see {_short(obs)}; action> ")
        if typed == "q":
            console.print(f"return {total:.3f} in {steps} steps")
            return 0
        if typed == "?":
            console.print(for_terminal(picture(env, state, params)))
            continue
        try:
            action = read_action(typed, space) if typed or action is None else action
        except UsageError as error:
            console.print(str(error))
            continue
        key, key_step = jax.random.split(key)
        obs, state, reward, terminated, truncated, info = step(key_step, state, action)
        total, steps = total + float(reward), steps + 1
        console.print(f"reward {float(reward):.4g}, return {total:.3f}")
        if terminated | truncated:
            why = "terminated" if terminated else "truncated"
            console.print(f"{why} after {steps} steps at {_short(info['final_observation'])}")
            total, steps = 0.0, 0


def for_terminal(drawn: str | np.ndarray | None) -> str | Text:
    """Return a picture as text; of an array [H, W, 3] each character shows two pixels."""
    if drawn is None:
        return "this environment draws nothing"
    if isinstance(drawn, str):
        return drawn
    columns = min(console.width, 96)
    rows = max(1, round(columns * drawn.shape[0] / drawn.shape[1] / 2))
    small = np.asarray(Image.fromarray(drawn).resize((columns, 2 * rows)))
    text = Text()
    for upper, lower in zip(small[::2], small[1::2], strict=True):
        for above, below in zip(upper, lower, strict=True):
            text.append("▀", Style(color=Color.from_rgb(*above), bgcolor=Color.from_rgb(*below)))
        text.append("\n")
    return text


def _ask(prompt: str) -> str:
    try:
        return console.input(prompt, markup=False).strip()
    except EOFError:
        return "q"


def read_action(typed: str, space: Any) -> jax.Array:
    """Return the action that stands in a line of numbers; raise ``UsageError`` if none does."""
    from envs.spaces import contains

    try:
        numbers = np.array([float(word) for word in typed.replace(",", " ").split()])
        if not np.isfinite(numbers).all():
            raise ValueError
        action = jnp.asarray(numbers.reshape(tuple(space.shape)), space.dtype)
        rounded = jnp.issubdtype(space.dtype, jnp.integer) and (action.ravel() != numbers).any()
        fits = bool(contains(space, action)) and not rounded
    except ValueError:
        fits = False
    if not fits:
        raise UsageError(f"{typed!r} is no action of {space!r}; type its numbers, or q to end")
    return action


def _short(obs: Any) -> str:
    parts = [np.array2string(np.asarray(x), precision=3) for x in jax.tree.leaves(obs)]
    return " ".join(parts)
