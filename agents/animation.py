"""An episode as an animated picture: the world, and below it what the agent saw, did and felt."""

from pathlib import Path

import numpy as np
from matplotlib.animation import FuncAnimation
from matplotlib.figure import Figure

from agents.episode import Episode
from ssmrl.errors import UsageError

FRAMES_PER_SECOND = 5


def animate(episode: Episode, title: str, out: Path) -> None:
    """Write an animation, one frame a step, to ``out``, a .gif.

    Raises ``UsageError`` where ``out`` is of another kind or cannot be written.
    """
    if out.suffix != ".gif":
        raise UsageError(f"an episode is written as a .gif, not as {str(out)!r}")
    figure = Figure(figsize=(7, 8), layout="constrained")
    world, seen, done, got, felt = figure.subplots(5, 1, height_ratios=(5, 2, 1, 1, 2))
    num_steps = len(episode.rewards)
    _draw_curves(episode, seen, done, got, felt)
    cursors = [axes.axvline(0, color="black", linewidth=1) for axes in (seen, done, got, felt)]
    world.axis("off")
    first = episode.pictures[0]
    shown = world.imshow(first) if isinstance(first, np.ndarray) else None
    text = world.text(0.5, 0.5, "", family="monospace", ha="center", va="center", fontsize=9)
    text.set_transform(world.transAxes)
    total = np.cumsum(episode.rewards)

    def draw(i: int) -> None:
        if shown is not None:
            shown.set_data(episode.pictures[i])
        else:
            text.set_text(episode.pictures[i] or "")
        world.set_title(f"{title}\nstep {i + 1} of {num_steps}, return so far {total[i]:.2f}")
        for cursor in cursors:
            cursor.set_xdata([i, i])

    animation = FuncAnimation(figure, draw, frames=num_steps)  # type: ignore[arg-type]
    try:
        animation.save(out, writer="pillow", fps=FRAMES_PER_SECOND, dpi=70)
    except OSError as error:
        raise UsageError(f"cannot write {str(out)!r}: {error}") from None


def _draw_curves(episode: Episode, seen, done, got, felt) -> None:
    steps = np.arange(len(episode.rewards))
    seen.imshow(np.stack(episode.observations, axis=1), aspect="auto", interpolation="nearest")
    seen.set_ylabel("saw")
    for entry in np.stack([np.ravel(action) for action in episode.actions], axis=1):
        done.step(steps, entry, where="mid")
    done.set_ylabel("did")
    got.bar(steps, episode.rewards, width=1.0)
    got.set_ylabel("got")
    for layer, norms in enumerate(np.array(episode.memory_norms).T):
        felt.plot(steps, norms, label=str(layer))
    felt.set(ylabel="norm of memory", xlabel="step")
    if episode.memory_norms[0]:
        felt.legend(title="layer", ncols=4, fontsize=7, frameon=False, loc="upper left")
    for axes in (seen, done, got):
        axes.tick_params(labelbottom=False)
    for axes in (seen, done, got, felt):
        axes.set_xlim(-0.5, len(steps) - 0.5)
