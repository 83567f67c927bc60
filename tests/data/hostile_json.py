"""Sealed JSON files as a stranger, or a bad disk, may leave them."""

import json

from hypothesis import strategies as st

from batchtrainingbooster.core.serialization import sealed

JSON = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=9),
        st.sampled_from(["numeric", "../x", "multiclass", "9" * 5000, "\ud800", "nan"]),
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)  # fmt: skip


def places(content, path=()):
    """Paths to all values of a JSON document."""
    yield path
    if isinstance(content, list):
        content = dict(enumerate(content))
    for key, value in content.items() if isinstance(content, dict) else ():
        yield from places(value, (*path, key))


def changed(content, path, value):
    if not path:
        return value
    inner = changed(content[path[0]], path[1:], value)
    if isinstance(content, dict):
        return {**content, path[0]: inner}
    return [*content[: path[0]], inner, *content[path[0] + 1 :]]


def hostile_value(data, content):
    """A value is changed at random."""
    place = data.draw(st.sampled_from(list(places(content))), "place")
    return changed(content, place, data.draw(JSON, "value"))


def hostile(data, file, version):
    """A value is changed at random, with a checksum that fits, or bytes are."""
    if data.draw(st.booleans(), "sealed"):
        return sealed(hostile_value(data, json.loads(file)["content"]), version)
    at = data.draw(st.integers(0, len(file)), "at")
    return file[:at] + data.draw(st.binary(max_size=9)) + file[at + 3 :]
