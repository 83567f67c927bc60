"""A training run in a process of its own, which can be told when to die.

``python training.py SPEC``: SPEC is a JSON file with ``source`` (a Parquet folder), ``booster``,
``configs`` (the three of ``fit``), ``outcome`` (where model and history are put), and, as needed:
``spark`` (settings), ``dies_in_write`` (the process kills itself in the middle of that write of a
file of ours, counted from 0), ``seconds_a_round`` (rounds are made to last that long).
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


def main(spec):
    if "dies_in_write" in spec:
        die_in_write(spec["dies_in_write"])
    if "seconds_a_round" in spec:
        slow_down(spec["seconds_a_round"])
    setup_logger()
    spark = start_session("training", {"spark.master": "local[2]", **spec.get("spark", {})})
    frame = spark.read.parquet(spec["source"])
    print("fitting", flush=True)
    model = TRAINERS[spec["booster"]]().fit(frame, None, "y", *spec["configs"])
    outcome = Path(spec["outcome"])
    outcome.with_suffix(".history").write_text(
        json.dumps([(r.visit, r.batch, r.round, r.n_rounds, r.kept, r.learning_rate, r.train, r.valid)
                    for r in model.history])
    )  # fmt: skip
    outcome.write_bytes(model.native)
    # Spark's own end takes seconds, and there is nothing left to lose.
    os._exit(0)


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
