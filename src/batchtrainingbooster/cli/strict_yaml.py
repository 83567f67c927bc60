"""YAML from strangers: plain values, none of them twice, no more than a config file needs.

PyYAML's safe loader runs no code. But it nests until Python gives up, lets a few lines stand for
billions of values, takes the last of two equal keys without a word, and fails with errors of other
kinds on values that are no numbers or dates. Here all of that is one error that names the line.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import yaml
from yaml.composer import ComposerError
from yaml.constructor import ConstructorError

from batchtrainingbooster.core.parsing import shown, shown_text
from batchtrainingbooster.errors import ConfigError

MAX_DEPTH = 30
MAX_VALUES = 50_000  # aliases and merged keys count as often as they are used
MAX_DIGITS = 100

_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
_MERGE = "tag:yaml.org,2002:merge"


def load_yaml(text: str, where: str) -> Any:
    """The values of a YAML document.

    Parameters
    ----------
    text : str
    where : str
        What the document is called in messages.

    Raises
    ------
    ConfigError
        If it is no YAML, or not of the plain kind; with the line.
    """
    loader = None
    try:
        loader = _Loader(text)
        return loader.get_single_data()
    except yaml.YAMLError as error:
        msg = f"{where}: no YAML: {_in_words(error)}"
        raise ConfigError(msg) from error
    finally:
        if loader is not None:
            loader.dispose()


def _in_words(error: yaml.YAMLError) -> str:
    """The line and what is wrong there; not what stands there, which may be long."""
    mark = getattr(error, "problem_mark", None)
    if not isinstance(error, yaml.MarkedYAMLError) or mark is None:
        return shown_text(" ".join(str(error).split()))
    problem = ", ".join(part for part in (error.context, error.problem) if part)
    return f"line {mark.line + 1}: {shown_text(problem)}"


class _Loader(yaml.SafeLoader):
    """The safe loader, with limits."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0
        self._values = 0
        self._values_in: dict[int, int] = {}  # by the identity of a finished node

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Count the values, those behind an alias too."""
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        mark, is_alias = event.start_mark, isinstance(event, yaml.AliasEvent)
        if self._depth == MAX_DEPTH:
            raise ComposerError(None, None, f"nested deeper than {MAX_DEPTH} levels", mark)
        before = self._values
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        if not is_alias:
            self._values += 1
            self._values_in[id(node)] = self._values - before
        elif id(node) in self._values_in:
            self._values += self._values_in[id(node)]
        else:
            raise ComposerError(None, None, "an alias within what it stands for", mark)
        if self._values > MAX_VALUES:
            raise ComposerError(None, None, f"more than {MAX_VALUES:,} values", mark)
        return node

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Refuse a key that is there twice; one that is merged and then given again is not."""
        node = super().compose_mapping_node(anchor)
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            if isinstance(key_node, yaml.ScalarNode) and key_node.tag != _MERGE:
                key = self.construct_object(key_node)
                if not isinstance(key, Hashable):
                    continue  # which PyYAML refuses
                if key in seen:
                    problem = f"key {shown(key_node.value)} is there twice"
                    raise ComposerError(None, None, problem, key_node.start_mark)
                seen.add(key)
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Whatever a value cannot be read as is an error of YAML."""
        is_number = isinstance(node, yaml.ScalarNode) and node.tag in _NUMBERS
        if is_number and len(node.value) > MAX_DIGITS:
            problem = f"a number of more than {MAX_DIGITS} digits"
            raise ConstructorError(None, None, problem, node.start_mark)
        try:
            return super().construct_object(node, deep)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            kind = node.tag.rpartition(":")[2]
            problem = f"a value that cannot be read as {kind}"
            raise ConstructorError(None, None, problem, node.start_mark) from error
