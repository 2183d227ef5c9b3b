"""An episode as an animated picture: the world, and below it what the agent saw, did and felt.

Of a world model also what it imagined, from a few moments on.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont
from matplotlib.ticker import MaxNLocator
from PIL import Image, ImageDraw, ImageFont

from agents.dreams import Dream
from agents.episode import Episode
from envs.wrappers.layout import ImagePlace
from ssmrl.errors import UsageError

SECONDS_PER_FRAME = 0.2
WIDTH, WORLD_HEIGHT, CURVES_HEIGHT, DREAM_HEIGHT = 560, 300, 400, 75  # pixels
MOST_IMAGES = 12  # of those seen, that stand side by side
CAPTION = (
    "imagined by what was truly done; right of its line a dream has seen nothing\n"
    "what it expects to get is in its colour, on what the agent got"
)
DPI = 80

Limits = tuple[float, float]


def animate(
    episode: Episode,
    title: str,
    out: Path,
    place: ImagePlace | None = None,
    dreams: Sequence[Dream] = (),
) -> None:
    """Write an animation, one frame a step, to ``out``, a .gif.

    ``place`` is that of the image in observations, where there is one; they are shown by it alone.
    Raises ``UsageError`` where ``out`` cannot be written.
    """
    curves, cursors = _draw_curves(episode, place, dreams)
    font = ImageFont.truetype(findfont("DejaVu Sans Mono"), 13)
    frames = []
    for i, total in enumerate(np.cumsum(episode.rewards)):
        frame = Image.new("RGB", (WIDTH, WORLD_HEIGHT + curves.height), "white")
        frame.paste(curves, (0, WORLD_HEIGHT))
        pen = ImageDraw.Draw(frame)
        for x, top, bottom in cursors(i):
            pen.line([(x, WORLD_HEIGHT + top), (x, WORLD_HEIGHT + bottom)], fill="black", width=2)
        head = f"{title}\nstep {i + 1} of {len(episode.rewards)}, return so far {total:.3f}"
        pen.multiline_text((WIDTH / 2, 6), head, "black", font, anchor="ma", align="center")
        _draw_world(frame, pen, font, episode.pictures[i])
        frames.append(frame.quantize(128))
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


def _draw_curves(
    episode: Episode, place: ImagePlace | None, dreams: Sequence[Dream]
) -> tuple[Image.Image, Any]:
    """Return the picture of all curves, and where in it a step's cursors stand."""
    height = CURVES_HEIGHT + len(dreams) * DREAM_HEIGHT
    figure = Figure((WIDTH / DPI, height / DPI), dpi=DPI, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    heights = (2, *[1.2] * len(dreams), 1, 2 if dreams else 1, 2)
    panels = figure.subplots(4 + len(dreams), 1, height_ratios=heights)
    saw, *imagined, did, got, felt = panels
    steps = np.arange(len(episode.rewards))
    limits = _draw_observations(saw, np.stack(episode.observations), place)
    for entry in np.stack([np.ravel(action) for action in episode.actions], axis=1):
        did.step(steps, entry, where="mid")
    got.bar(steps, episode.rewards, width=1.0)
    for i, (axes, dream) in enumerate(zip(imagined, dreams, strict=True), start=1):
        _draw_observations(axes, dream.observations, place, limits)
        axes.axvline(dream.start + 0.5, color=f"C{i}", linewidth=3)
        axes.yaxis.label.set_color(f"C{i}")
        got.plot(steps, dream.rewards, f"C{i}.-", linewidth=1)
        got.use_sticky_edges = False  # lines at 0 stand off the frame
        axes.set_title(CAPTION if i == 1 else "", fontsize=7.5)
    for number, norms in enumerate(np.array(episode.memory_norms).T):
        felt.plot(steps, norms, label=str(number))
    if episode.memory_norms[0]:
        felt.legend(
            title="array of the state", ncols=4, fontsize=7, frameon=False, loc="upper left"
        )
    felt.set_xlabel("step")
    discrete = [axes.yaxis for axes in (saw, *imagined)] if place is None else []  # their entries
    discrete += [axes.xaxis for axes in panels]
    if np.issubdtype(np.asarray(episode.actions[0]).dtype, np.integer):
        discrete.append(did.yaxis)
    for axis in discrete:
        axis.set_major_locator(MaxNLocator(nbins="auto", integer=True))
    names = ("saw", *(f"after {dream.start}" for dream in dreams), "did", "got", "norm of memory")
    for axes, label in zip(panels, names, strict=True):
        axes.set_ylabel(label)
        axes.set_xlim(-0.5, len(steps) - 0.5)
        axes.tick_params(labelbottom=axes is felt)
    canvas.draw()

    def cursors(step: int) -> list[tuple[float, float, float]]:
        """Return x, top and bottom of the cursor in each panel, in pixels from the top left."""
        boxes = [(axes.transData.transform((step, 0))[0], axes.bbox) for axes in panels]
        return [(x, height - box.y1, height - box.y0) for x, box in boxes]

    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB"), cursors


def _draw_observations(
    axes: Any, obs_TxF: np.ndarray, place: ImagePlace | None, limits: Limits | None = None
) -> Limits:
    """Draw entries over steps, or some of the images; grey where there is NaN.

    Returns what the darkest and the brightest stand for: ``limits``, or those of what is drawn.
    """
    picture, edges = _side_by_side(obs_TxF, place)
    if limits is None:
        finite = picture[np.isfinite(picture)]
        limits = (finite.min(), finite.max()) if finite.size else (0, 1)
    low, high = limits
    if picture.ndim == 3:  # of colours, which are shares of 1
        shares = np.clip((picture - low) / max(high - low, 1e-6), 0, 1)
        picture = np.where(np.isnan(shares), 0.9, shares)
    extent = (edges[0], edges[-1], len(picture) - 0.5, -0.5)
    how = {"extent": extent, "aspect": "auto", "interpolation": "nearest"}
    axes.imshow(picture, vmin=low, vmax=high, **how)
    axes.set_facecolor("0.9")
    if place is not None:
        axes.vlines(edges, *extent[2:], "white", linewidth=1)
        axes.set_yticks([])
    return limits


def _side_by_side(obs_TxF: np.ndarray, place: ImagePlace | None) -> tuple[np.ndarray, np.ndarray]:
    """Return a picture of rows and columns, and between which steps each piece of it stands."""
    apart = 1 if place is None else -(-len(obs_TxF) // MOST_IMAGES)  # steps
    some = np.arange(apart // 2, len(obs_TxF), apart)
    edges = some[0] - apart / 2 + apart * np.arange(len(some) + 1)
    if place is None:
        return obs_TxF.T, edges
    at, (height, width, channels) = place
    pixels = obs_TxF[some, at : at + height * width * channels]
    picture = np.concatenate(pixels.reshape(-1, height, width, channels), axis=1)
    if channels != 3:  # one-hot, say: a shade for each
        picture = picture @ np.linspace(1 / channels, 1, channels)
    return picture, edges
