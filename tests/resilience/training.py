"""A training run in a process of its own, which can be told when to die.

``python training.py SPEC``: SPEC is a JSON file with ``source`` (a Parquet folder), ``booster``,
``configs`` (the three of ``fit``), ``outcome`` (where model and history are put), and, as needed:
``spark`` (settings), ``dies_in_write`` (the process kills itself in the middle of that write of a
file of ours, counted from 0), ``seconds_a_round`` (rounds are made to last that long), ``unruly``
(what happens once to a task that reads the source while batches are written: ``killed``, ``fails``
or ``slow``).
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

from batchtrainingbooster import CatBoostTrainer, LightGBMTrainer, XGBoostTrainer, setup_logger
from batchtrainingbooster.cli.session import start_session
from batchtrainingbooster.core import loop
from batchtrainingbooster.data.filesystem import Folder

TRAINERS = {each.backend: each for each in (XGBoostTrainer, CatBoostTrainer, LightGBMTrainer)}


def die_in_write(number):
    """Kill this process when a file has been written by half."""
    write, count = Folder.write, 0

    def dying(self, name, data):
        nonlocal count
        if not name.endswith("lock.json"):
            if count == number:
                with self.create(name) as stream:
                    stream.write(data[: len(data) // 2])
                    stream.flush()
                    os.kill(os.getpid(), signal.SIGKILL)
            count += 1
        write(self, name, data)

    Folder.write = dying


def slow_down(seconds):
    row = loop.Row

    def slow(**fields):
        time.sleep(seconds)
        return row(**fields)

    loop.Row = slow


def unruly(frame, what, place):
    """The same rows; the first task that comes to its second part while staging has bad luck."""
    staging, marker = place / "run" / "staged" / "UNFINISHED", place / "had bad luck"

    def pass_on(batches):
        from pyspark import TaskContext

        context = TaskContext.get()
        if staging.exists() and context.attemptNumber():
            (place / "was run again").touch()
        for i, batch in enumerate(batches):
            yield batch
            if i == 0 and staging.exists():
                try:
                    marker.touch(exist_ok=False)
                except FileExistsError:
                    continue
                if what == "killed":
                    os.kill(os.getpid(), signal.SIGKILL)
                elif what == "fails":
                    raise RuntimeError("out of luck")
                time.sleep(8)

    return frame.mapInArrow(pass_on, frame.schema)


def main(spec):
    if "dies_in_write" in spec:
        die_in_write(spec["dies_in_write"])
    if "seconds_a_round" in spec:
        slow_down(spec["seconds_a_round"])
    setup_logger()
    spark = start_session("training", {"spark.master": "local[2]", **spec.get("spark", {})})
    frame = spark.read.parquet(spec["source"])
    if "unruly" in spec:
        frame = unruly(frame, spec["unruly"], Path(spec["outcome"]).parent)
    print("fitting", flush=True)
    model = TRAINERS[spec["booster"]]().fit(frame, None, "y", *spec["configs"])
    outcome = Path(spec["outcome"])
    fields = ("visit", "batch", "round", "n_rounds", "kept", "learning_rate", "train", "valid")
    rows = [[getattr(row, field) for field in fields] for row in model.history]
    outcome.with_suffix(".history").write_text(json.dumps(rows))
    outcome.write_bytes(model.native)
    # Spark's own end takes seconds, and there is nothing left to lose.
    os._exit(0)


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
