"""Names and labels come from data: what they say to a terminal or a log is shown, not done."""

from __future__ import annotations


def printable(text: str) -> str:
    r"""A text on one line, without what moves a cursor, turns the direction, or has no bytes.

    Examples
    --------
    >>> print(printable("red\x1b[2J\n"))
    red\x1b[2J\n
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
