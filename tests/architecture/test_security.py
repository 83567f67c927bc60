"""What the source may not do: run what it is handed, or unpack what could run."""

import ast
from pathlib import Path

import pytest

import batchtrainingbooster

SOURCE = Path(batchtrainingbooster.__file__).parent

# Their files run code when they are read.
UNPACKERS = {"pickle", "cPickle", "_pickle", "cloudpickle", "marshal", "shelve", "dill", "joblib"}
RUNNERS = {"eval", "exec", "compile", "__import__", "breakpoint"}
CALLS = {
    "os.system", "os.popen", "os.execv", "os.execl", "os.spawnl", "os.spawnv",
    "subprocess.getoutput", "subprocess.getstatusoutput", "tempfile.mktemp", "yaml.load",
    "yaml.load_all", "yaml.unsafe_load", "yaml.unsafe_load_all", "yaml.full_load",
    "yaml.full_load_all", "pandas.read_pickle", "pd.read_pickle", "numpy.fromfile", "np.fromfile",
    # It hands a command to a shell before click 8.3.3 (CVE-2026-7246, disputed).
    "click.edit",
}  # fmt: skip
# Where PyYAML's own loader may be built on, and where modules are imported by a name that is no
# literal: from a table in the same file.
YAML_LOADER = {"cli/strict_yaml.py": "SafeLoader"}
IMPORTS_BY_NAME = {"backends/registry.py", "__init__.py"}


def dotted(node):
    """``a.b.c`` of a name or of attributes of one; else what is at its end."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def aliases(tree):
    """What the names of a file stand for: ``{"np": "numpy", "run": "subprocess.run"}``."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {name.asname: name.name for name in node.names if name.asname}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found |= {name.asname or name.name: f"{node.module}.{name.name}" for name in node.names}
    return found


def resolved(node, names):
    first, dot, rest = dotted(node).partition(".")
    return f"{names.get(first, first)}{dot}{rest}"


def is_true(keyword):
    return not (isinstance(keyword.value, ast.Constant) and keyword.value.value is False)


def imports_of(node):
    if isinstance(node, ast.Import):
        return [name.name for name in node.names]
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        return [node.module]
    return []


def faults_of_call(node, names, file):
    called = resolved(node.func, names)
    for wanted in (called, called.removeprefix("builtins.")):
        if wanted in RUNNERS | CALLS:
            yield f"calls {called}"
            break
    for keyword in node.keywords:
        if keyword.arg in ("shell", "allow_pickle") and is_true(keyword):
            yield f"{called} with {keyword.arg}"
        if keyword.arg == "Loader":
            yield f"{called} with a Loader of its own"
    by_name = called.endswith("import_module") and not all(
        isinstance(argument, ast.Constant) for argument in node.args
    )
    if by_name and file not in IMPORTS_BY_NAME:
        yield "imports a module by a name that is no literal"


def faults(text, file=""):
    """What a source file may not do, with its line."""
    tree = ast.parse(text)
    names = aliases(tree)
    for node in ast.walk(tree):
        imported = [name for name in imports_of(node) if name.partition(".")[0] in UNPACKERS]
        found = [f"imports {name}" for name in imported]
        if isinstance(node, ast.Call):
            found += faults_of_call(node, names, file)
        if isinstance(node, ast.Attribute | ast.Name):
            name = resolved(node, names)
            if name in CALLS | {f"builtins.{runner}" for runner in RUNNERS}:
                found.append(f"names {name}")
            loader = name.startswith("yaml.") and name.endswith("Loader")
            if loader and name != f"yaml.{YAML_LOADER.get(file)}":
                found.append(f"names {name}")
        yield from (f"{file}:{node.lineno}: {fault}" for fault in found)


@pytest.mark.parametrize("file", sorted(SOURCE.rglob("*.py")), ids=lambda p: p.name)
def test_source_runs_nothing_that_it_is_handed(file):
    name = file.relative_to(SOURCE).as_posix()
    assert list(faults(file.read_text(encoding="utf-8"), name)) == []


@pytest.mark.parametrize(
    "text",
    [
        "import pickle",
        "from cloudpickle import loads",
        "import joblib.externals",
        "import dill as d",
        "import marshal, os",
        "eval(x)",
        "exec(x)",
        "compile(x, '', 'exec')",
        "__import__(x)",
        "import builtins\nbuiltins.eval(x)",
        "import builtins as b\nrun = b.exec",
        "import os\nos.system(x)",
        "from os import system\nsystem(x)",
        "from os import popen as p\np(x)",
        "import os as o\nrun = o.system",
        "import subprocess\nsubprocess.run(x, shell=True)",
        "from subprocess import run\nrun(x, shell=is_text)",
        "import yaml\nyaml.load(x)",
        "import yaml\nyaml.unsafe_load(x)",
        "from yaml import full_load\nfull_load(x)",
        "import yaml\nyaml.load(x, Loader=yaml.SafeLoader)",
        "import yaml\nclass A(yaml.Loader): pass",
        "from yaml import UnsafeLoader as L\nL(x)",
        "import numpy as np\nnp.load(x, allow_pickle=True)",
        "from numpy import load\nload(x, allow_pickle=flag)",
        "from tempfile import mktemp\nmktemp()",
        "import tempfile\ntempfile.mktemp()",
        "from importlib import import_module\nimport_module(x)",
        "import importlib\nimportlib.import_module('a.' + x)",
        "import click\nclick.edit(x)",
        "import pandas as pd\npd.read_pickle(x)",
        "def f():\n    import pickle",
    ],
)
def test_each_fault_is_found(text):
    assert list(faults(text))


@pytest.mark.parametrize(
    "text",
    [
        "import re\nre.compile(x)",
        "import subprocess\nsubprocess.run([x], shell=False)",
        "import numpy as np\nnp.load(x, allow_pickle=False)",
        "import importlib\nimportlib.import_module('a.b')",
        "model.eval()",
        "import yaml\nyaml.safe_load(x)",
        "from . import pickle",
        "import tempfile\ntempfile.mkstemp()",
        "load(x)",
        "text = 'eval(x)'",
    ],
)
def test_nothing_else_is_taken_for_one(text):
    assert list(faults(text)) == []


def test_modules_imported_by_name_are_in_a_table_of_ours():
    from batchtrainingbooster.backends.registry import BACKENDS

    package = f"{batchtrainingbooster.__name__}."
    ours = [f"{package}{module}" for module in batchtrainingbooster._MODULES.values()]
    for module in [*BACKENDS.values(), *ours]:
        assert module.startswith(package)
        inner = module.removeprefix(package).split(".")
        assert SOURCE.joinpath(*inner).with_suffix(".py").is_file()
