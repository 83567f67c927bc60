"""In a real control group, with a limit: what is left is known, and what is said to fit does."""

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from batchtrainingbooster.available_memory import available_bytes

MB = 2**20
LIMIT = 500 * MB
CGROUPS = Path("/sys/fs/cgroup")


def own_group(controller):
    """Where this process is in a hierarchy, or the root of its mount."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == controller:
            mount = CGROUPS / controller if controller else CGROUPS
            group = mount / path.strip("/")
            return group if group.is_dir() else mount
    return None


@pytest.fixture
def limited():
    """A group with a limit of 500 MB, below the one that the tests run in."""
    reasons = []
    for controller, file in (("memory", "memory.limit_in_bytes"), ("", "memory.max")):
        parent = own_group(controller)
        if parent is None:
            continue
        group = parent / f"batchtrainingbooster-test-{os.getpid()}"
        try:
            group.mkdir()
            (group / file).write_text(str(LIMIT))
        except OSError as error:
            reasons.append(str(error))
            with suppress(OSError):
                group.rmdir()
            continue
        yield group
        group.rmdir()
        return
    pytest.skip(f"needs the right to make a memory cgroup: {'; '.join(reasons) or 'there is none'}")


def run_in(group, code):
    """What a process in a group prints; it enters before it imports anything."""
    enter = f"open({str(group / 'cgroup.procs')!r}, 'w').write('0')\n"
    done = subprocess.run(
        [sys.executable, "-c", enter + code], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_limit_of_a_real_group_is_honoured(limited):
    before, after, freed = run_in(
        limited,
        "from batchtrainingbooster.available_memory import available_bytes\n"
        "print(available_bytes())\n"
        "block = b'x' * 100 * 2**20\n"
        "print(available_bytes())\n"
        "del block\n"
        "print(available_bytes())\n",
    )
    assert LIMIT - 100 * MB < int(before) < LIMIT
    assert int(before) - int(after) == pytest.approx(100 * MB, abs=5 * MB)
    assert int(freed) == pytest.approx(int(before), abs=5 * MB)
    assert available_bytes() > LIMIT


def test_cache_of_files_does_not_count_as_used(limited, tmp_path):
    # 200 MB that are read once, and again; the kernel drops them when memory is asked for.
    (tmp_path / "file").write_bytes(b"x" * 200 * MB)
    os.sync()
    with (tmp_path / "file").open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    before, once, twice = run_in(
        limited,
        "from batchtrainingbooster.available_memory import available_bytes\n"
        "print(available_bytes())\n"
        "for _ in range(2):\n"
        f"    with open({str(tmp_path / 'file')!r}, 'rb', buffering=0) as file:\n"
        "        while file.read(2**20): pass\n"
        "    print(available_bytes())\n"
        "blocks = [bytearray(b'x') * 20 * 2**20 for _ in range(20)]\n",
    )
    assert int(before) - int(once) < 20 * MB
    assert int(before) - int(twice) < 20 * MB


TRAINS = """
import sys
import numpy as np
from batchtrainingbooster.available_memory import available_bytes
from batchtrainingbooster.backends.registry import load_backend
from batchtrainingbooster.backends.settings import Problem
from batchtrainingbooster.core.batching import RowMemory, reference_rows
from batchtrainingbooster.core.fitting import Load, refuse_run_that_does_not_fit
from batchtrainingbooster.core.ports import Batch
from batchtrainingbooster.core.table import TargetKind
from batchtrainingbooster.errors import NotEnoughMemoryError
from batchtrainingbooster.memory import return_freed_memory

name, rows, columns = {name!r}, 3_000_000, 28
module = load_backend(name)
row = RowMemory(columns, 1, module.BYTES_PER_OUTPUT)

def equal(num_batches):
    each, extra = divmod(rows, num_batches)
    batch_rows = tuple(each + (i < extra) for i in range(num_batches))
    return Load(batch_rows=batch_rows, validation_rows=0, row=row)

def batch(n, seed):
    rng = np.random.default_rng(seed)
    features = np.empty((n, columns), np.float32, order="F")
    for i in range(columns):
        features[:, i] = rng.standard_normal(n, np.float32)
    return Batch(features, (features[:, 0] > 0).astype(np.float32))

try:
    refuse_run_that_does_not_fit(equal(1), available_bytes())
except NotEnoughMemoryError as error:
    num_batches = int(str(error).partition("num_batches=")[2].split()[0])
problem = Problem(kind=TargetKind.BINARY, class_shares=(0.5, 0.5), seed=3,
                  column_names=tuple(map(str, range(columns))), cardinalities=(0,) * columns)
settings = module.parse_settings({{"n_jobs": 2}})
backend = module.Backend(module.with_defaults(settings, problem.kind), problem)
plan = equal(num_batches)
backend.start(batch(reference_rows(columns, plan.batch_rows), 0), None)
for number, n in enumerate(plan.batch_rows[:2]):
    return_freed_memory()
    dataset = backend.dataset(batch(n, number + 1))
    backend.boost(dataset, [0.1] * 3, lambda metrics: True)
    del dataset
print(num_batches, backend.n_rounds)
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["catboost", "lightgbm", "xgboost"])
def test_as_many_batches_as_the_error_says_fit(limited, name):
    num_batches, rounds = map(int, run_in(limited, TRAINS.format(name=name)))
    assert 2 <= num_batches <= 8
    assert rounds == 6
