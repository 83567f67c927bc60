"""What all figures share: an empty one, colours, and names that can be drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from batchtrainingbooster.errors import MissingDependencyError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's colours, which the colour-blind can tell apart.
BLUE, VERMILION, GREEN, ORANGE, SKY, PURPLE, YELLOW = (
    "#0072B2", "#D55E00", "#009E73", "#E69F00", "#56B4E9", "#CC79A7", "#F0E442",
)  # fmt: skip
GREY, LIGHT, TEXT = "#999999", "#DDDDDD", "#555555"

MAX_SHOWN = 36


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, in inches; no display is needed.

    Raises
    ------
    MissingDependencyError
        If matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError.of("matplotlib", "plots", "Plots") from error
    return Figure(figsize=(width, height), layout="constrained", dpi=120)


def drawn(name: str, most: int = MAX_SHOWN) -> str:
    r"""A name as a figure can hold it: short, no formula, and of characters that the font has.

    Examples
    --------
    >>> drawn("price_$ in $")
    'price_\\$ in \\$'
    """
    if not name.strip():
        name = repr(name)
    if not (name.isascii() and name.isprintable()):
        fonts = _fonts()
        name = "".join(c if _is_in(fonts, c) else ascii(c)[1:-1] for c in name)
    if len(name) > most:
        # Names often differ at their end alone.
        name = f"{name[: most // 2]}…{name[-(most - most // 2 - 1) :]}"
    return name.replace("$", r"\$")


def _is_in(fonts: list[Any], character: str) -> bool:
    if not character.isprintable():
        return False
    return any(font.get_char_index(ord(character)) for font in fonts)


def _fonts() -> list[Any]:
    """Those that texts are set in."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    families = FontProperties().get_family()
    return [get_font(findfont(FontProperties(family=[family]))) for family in families]


def is_drawable(value: float) -> bool:
    """Whether an axis can reach that far.

    Examples
    --------
    >>> is_drawable(0.5), is_drawable(float("nan")), is_drawable(1e308)
    (True, False, False)
    """
    return abs(value) < 1e300


def plain_axes(axes: Any, title: str, pad: float = 6) -> None:
    """A title, and no more lines than are needed."""
    axes.set_title(title, loc="left", fontsize=11, pad=pad)
    axes.spines[["top", "right"]].set_visible(False)


def whole_numbers(axis: Any) -> None:
    """Ticks at whole numbers alone."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def in_units(seconds: float) -> tuple[float, str]:
    """What to divide seconds by, and what they are then.

    Examples
    --------
    >>> in_units(7200)
    (60.0, 'minutes')
    """
    if seconds < 300:
        return 1.0, "seconds"
    return (60.0, "minutes") if seconds < 3 * 3600 else (3600.0, "hours")
