"""Secrets that a URI may carry stay out of messages, logs and files."""

from __future__ import annotations

import re

# User and password, up to the last @ before a slash; or, as secret keys may hold slashes that
# nobody has escaped, up to the first @ behind them.
_CREDENTIALS = re.compile(r"(?<=://)[^/\s:@]*:(?:[^/\s]*@|[^\s@]*@)")
_PARAMETER = re.compile(
    r"([?&;][\w.%-]*(?:key|secret|token|passw|pwd|sig|credential)[\w.%-]*=)[^&;\s'\"]+",
    re.IGNORECASE,
)


def without_secrets(text: str) -> str:
    """A text with the credentials in its URIs replaced.

    Examples
    --------
    >>> without_secrets("s3://AKIA:wJalr@bucket/rows?region=eu&session_token=abc")
    's3://***@bucket/rows?region=eu&session_token=***'
    """
    return _PARAMETER.sub(r"\1***", _CREDENTIALS.sub("***@", text))


def said(error: BaseException) -> str:
    """What an error says, in short and without secrets."""
    return without_secrets(str(error))[:500]
