"""An episode as an animated picture: the world, and below it what the agent saw, did and felt."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont
from matplotlib.ticker import MaxNLocator
from PIL import Image, ImageDraw, ImageFont

from agents.episode import Episode
from ssmrl.errors import UsageError

SECONDS_PER_FRAME = 0.2
WIDTH, WORLD_HEIGHT, CURVES_HEIGHT = 560, 300, 400  # pixels
DPI = 80


def animate(episode: Episode, title: str, out: Path) -> None:
    """Write an animation, one frame a step, to ``out``, a .gif.

    Raises ``UsageError`` where ``out`` cannot be written.
    """
    curves, cursors = _draw_curves(episode)
    font = ImageFont.truetype(findfont("DejaVu Sans Mono"), 13)
    frames = []
    for i, total in enumerate(np.cumsum(episode.rewards)):
        frame = Image.new("RGB", (WIDTH, WORLD_HEIGHT + CURVES_HEIGHT), "white")
        frame.paste(curves, (0, WORLD_HEIGHT))
        pen = ImageDraw.Draw(frame)
        for x, top, bottom in cursors(i):
            pen.line([(x, WORLD_HEIGHT + top), (x, WORLD_HEIGHT + bottom)], fill="black", width=2)
        head = f"{title}\nstep {i + 1} of {len(episode.rewards)}, return so far {total:.3f}"
        pen.multiline_text((WIDTH / 2, 6), head, "black", font, anchor="ma", align="center")
        _draw_world(frame, pen, font, episode.pictures[i])
        frames.append(frame.quantize(64))
    try:
        milliseconds = 1000 * SECONDS_PER_FRAME
        frames[0].save(out, save_all=True, append_images=frames[1:], duration=milliseconds, loop=0)
    except OSError as error:
        raise UsageError(f"cannot write {str(out)!r}: {error}") from None


def _draw_world(frame: Image.Image, pen: Any, font: Any, picture: Any) -> None:
    middle = (WORLD_HEIGHT + 50) / 2  # below the title
    if isinstance(picture, np.ndarray):
        image = Image.fromarray(picture)
        scale = min(WIDTH / image.width, (WORLD_HEIGHT - 60) / image.height)
        image = image.resize((int(scale * image.width), int(scale * image.height)), 0)
        frame.paste(image, ((WIDTH - image.width) // 2, int(middle - image.height / 2)))
    elif isinstance(picture, str):
        pen.multiline_text((WIDTH / 2, middle), picture, "black", font, anchor="mm")


def _draw_curves(episode: Episode) -> tuple[Image.Image, Any]:
    """Return the picture of all curves, and where in it a step's cursors stand."""
    figure = Figure((WIDTH / DPI, CURVES_HEIGHT / DPI), dpi=DPI, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    panels = figure.subplots(4, 1, height_ratios=(2, 1, 1, 2))
    saw, did, got, felt = panels
    steps = np.arange(len(episode.rewards))
    saw.imshow(np.stack(episode.observations, axis=1), aspect="auto", interpolation="nearest")
    for entry in np.stack([np.ravel(action) for action in episode.actions], axis=1):
        did.step(steps, entry, where="mid")
    got.bar(steps, episode.rewards, width=1.0)
    for number, norms in enumerate(np.array(episode.memory_norms).T):
        felt.plot(steps, norms, label=str(number))
    if episode.memory_norms[0]:
        felt.legend(
            title="array of the state", ncols=4, fontsize=7, frameon=False, loc="upper left"
        )
    felt.set_xlabel("step")
    discrete = [saw.yaxis, *(axes.xaxis for axes in panels)]  # steps, and entries of observations
    if np.issubdtype(np.asarray(episode.actions[0]).dtype, np.integer):
        discrete.append(did.yaxis)
    for axis in discrete:
        axis.set_major_locator(MaxNLocator(nbins="auto", integer=True))
    for axes, label in zip(panels, ("saw", "did", "got", "norm of memory"), strict=True):
        axes.set_ylabel(label)
        axes.set_xlim(-0.5, len(steps) - 0.5)
        axes.tick_params(labelbottom=axes is felt)
    canvas.draw()

    def cursors(step: int) -> list[tuple[float, float, float]]:
        """Return x, top and bottom of the cursor in each panel, in pixels from the top left."""
        boxes = [(axes.transData.transform((step, 0))[0], axes.bbox) for axes in panels]
        return [(x, CURVES_HEIGHT - box.y1, CURVES_HEIGHT - box.y0) for x, box in boxes]

    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB"), cursors
