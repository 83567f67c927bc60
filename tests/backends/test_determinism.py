"""What docs/reproducibility.md says of each booster, and that it says no more."""

import hashlib
import json
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from plain import PLAIN
from small import boost, margins, problem

from batchtrainingbooster.backends.registry import BACKENDS, load_backend
from batchtrainingbooster.core.ports import Batch
from batchtrainingbooster.core.table import TargetKind

# Enough rows for two threads to share them out.
ROWS, COLUMNS, ROUNDS = 20_000, 20, 5
KINDS = (TargetKind.BINARY, TargetKind.MULTICLASS, TargetKind.REGRESSION)
# Where another number of threads gives another model.
DIFFERS = ("catboost", TargetKind.BINARY)
PAGE = Path(__file__).parents[2] / "docs" / "reproducibility.md"

each_booster = pytest.mark.parametrize("name", sorted(BACKENDS))
each_kind = pytest.mark.parametrize("kind", KINDS, ids=str)


@cache
def rows(seed, kind):
    rng = np.random.default_rng(seed)
    features = np.asfortranarray(rng.standard_normal((ROWS, COLUMNS)).astype(np.float32))
    features[:, -1] = rng.integers(0, 5, ROWS)
    score = features[:, 0] * features[:, 1] + features[:, 2] + rng.standard_normal(ROWS)
    label = {
        TargetKind.BINARY: score > 0.3,
        TargetKind.MULTICLASS: (score > 0).astype(int) + (score > 1.2),
        TargetKind.REGRESSION: np.exp(0.3 * score),
    }[kind]
    features[rng.random((ROWS, COLUMNS)) < 0.05] = np.nan
    return Batch(features, label.astype(np.float32), rng.random(ROWS).astype(np.float32) + 0.5)


def trained(name, kind, threads=2, seed=3, **more):
    """A backend after two batches, rows and columns sampled, and its metrics."""
    module = load_backend(name)
    names = tuple(f"c{i}" for i in range(COLUMNS))
    the_problem = problem(
        kind, column_names=names, cardinalities=(0,) * (COLUMNS - 1) + (5,), seed=seed
    )
    config = {"n_jobs": threads, **PLAIN[name].sampling, **more}
    settings = module.with_defaults(module.parse_settings(config), kind)
    backend = module.Backend(settings, the_problem)
    backend.start(rows(0, kind), rows(9, kind))
    metrics = [
        found for batch in (1, 2) for found in boost(backend, rows(batch, kind), [0.2] * ROUNDS)
    ]
    return backend, metrics


@cache
def reference(name, kind, threads=2, **more):
    """Model bytes, margins and metrics of a first training."""
    backend, metrics = trained(name, kind, threads, **more)
    return backend.to_bytes(), margins(name, backend, rows(7, kind).features), metrics


@each_booster
@each_kind
def test_same_bytes_twice_in_one_process(name, kind):
    backend, metrics = trained(name, kind)
    assert (backend.to_bytes(), metrics) == reference(name, kind)[::2]


@each_booster
def test_same_bytes_whatever_is_trained_in_between(name):
    expected = digests(name)
    for other, kind in zip(sorted(BACKENDS), KINDS, strict=True):
        trained(other, kind, threads=1, seed=8)
    np.random.seed(0)  # noqa: NPY002 - the global generator is what others may have used
    for kind in KINDS:
        model = trained(name, kind)[0].to_bytes()
        assert hashlib.sha256(model).hexdigest() == expected[str(kind)]


def digests(name):
    return {str(kind): hashlib.sha256(reference(name, kind)[0]).hexdigest() for kind in KINDS}


@each_booster
def test_same_bytes_in_another_process(name):
    environment = {**os.environ, "PYTHONHASHSEED": "12345"}
    code = f"import json, test_determinism\nprint(json.dumps(test_determinism.digests({name!r})))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, env=environment,
        cwd=Path(__file__).parent,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == digests(name)


@each_booster
def test_another_seed_gives_another_model(name):
    kind = TargetKind.REGRESSION
    assert trained(name, kind, seed=4)[0].to_bytes() != reference(name, kind)[0]


def same_margins(name, kind, **more):
    first = reference(name, kind, 2, **more)[1]
    return all(
        np.array_equal(reference(name, kind, threads, **more)[1], first) for threads in (1, 4)
    )


@each_kind
def test_thread_count_does_not_change_a_byte_of_xgboost(kind):
    first, *others = (reference("xgboost", kind, threads)[0] for threads in (1, 2, 4))
    assert others == [first] * 2


@each_kind
def test_thread_count_changes_its_own_line_of_lightgbm_alone(kind):
    models = [reference("lightgbm", kind, threads)[0] for threads in (1, 2, 4)]
    assert len(set(models)) == 3
    assert len({re.sub(rb"\[num_threads: \d+\]", b"", model) for model in models}) == 1
    assert same_margins("lightgbm", kind)


@pytest.mark.parametrize("kind", [TargetKind.MULTICLASS, TargetKind.REGRESSION], ids=str)
def test_thread_count_does_not_change_what_catboost_predicts(kind):
    assert reference("catboost", kind, 1)[0] != reference("catboost", kind, 2)[0]
    assert same_margins("catboost", kind)


def test_thread_count_changes_catboost_with_two_classes():
    kind = TargetKind.BINARY
    assert not same_margins("catboost", kind)
    losses = [reference("catboost", kind, threads)[2][-1].valid["Logloss"] for threads in (1, 2, 4)]
    assert max(losses) == pytest.approx(min(losses), rel=0.02)


def test_but_not_with_one_step_for_each_leaf():
    assert same_margins("catboost", TargetKind.BINARY, leaf_estimation_iterations=1)


@pytest.mark.parametrize(
    ("name", "kind"),
    [(name, kind) for name in sorted(BACKENDS) for kind in KINDS if (name, kind) != DIFFERS],
)
def test_thread_count_may_change_the_last_digits_of_a_metric(name, kind):
    for one, other in zip(reference(name, kind, 1)[2], reference(name, kind, 4)[2], strict=True):
        for part in ("train", "valid"):
            assert getattr(one, part) == pytest.approx(getattr(other, part), rel=1e-12, abs=0)


def test_page_names_tests_that_exist():
    root = Path(__file__).parents[1]
    code = "\n".join(file.read_text(encoding="utf-8") for file in root.rglob("test_*.py"))
    named = set(re.findall(r"`(test_\w+)`", PAGE.read_text(encoding="utf-8")))
    assert {test for test in named if f"def {test}(" not in code} == set()
    own = {name for name in globals() if name.startswith("test_")}
    assert own - named == {"test_page_names_tests_that_exist"}
