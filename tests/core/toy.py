"""A booster whose validation metric follows a script, and batches that count their readings."""

import json
import weakref
from contextlib import contextmanager

import numpy as np

from batchtrainingbooster.core.ports import Batch, Checkpoint, RoundMetrics
from batchtrainingbooster.core.serialization import converter
from batchtrainingbooster.core.state import RunState


class ToyBackend:
    """A model is the list of (batch, learning rate) that it was trained with, a round each.

    ``script`` gives the validation metric of each round in the order of training; without one,
    there is no validation metric. An error in it is raised in that round.
    """

    def __init__(self, script=None, earlier_rounds=0, earlier_loss=None):
        self.rounds = [(None, None)] * earlier_rounds
        self.earlier_loss = earlier_loss
        self.script = list(script or ())
        self.has_script = script is not None
        self.truncations = []
        self.calls = []
        self.batches = weakref.WeakSet()
        self.most_batches = 0
        self.alive = weakref.WeakSet()
        self.most_alive = 0

    @property
    def n_rounds(self):
        return len(self.rounds)

    def start(self, reference, validation):
        self.calls.append("start")
        parts = (reference,) if validation is None else (reference, validation)
        self.started_with = tuple(int(part.label[0]) for part in parts)
        self.batches.update(parts)

    def validate(self):
        self.calls.append("validate")
        return {"first": 0.0, "other": 0.0, "loss": self.earlier_loss}

    def dataset(self, batch):
        self.calls.append("dataset")
        self.batches.add(batch)
        dataset = ToyDataset(int(batch.label[0]))
        self.alive.add(dataset)
        self.most_alive = max(self.most_alive, len(self.alive))
        return dataset

    @contextmanager
    def external_dataset(self, source):
        self.calls.append("external_dataset")
        for number in range(source.num_batches):
            source.batch(number)
        yield ToyDataset("all")
        self.calls.append("closed")

    def boost(self, dataset, learning_rates, after_round, is_wanted=None):
        self.calls.append("boost")
        self.most_batches = max(self.most_batches, len(self.batches))
        for rate in learning_rates:
            self.rounds.append((dataset.batch, rate))
            value = self.script.pop(0) if self.has_script else None
            if isinstance(value, Exception):
                raise value
            valid = {"first": 0.0, "other": 0.0, "loss": value} if self.has_script else {}
            if not after_round(RoundMetrics({"loss": 0.5}, valid)):
                break

    def truncate(self, n_rounds):
        self.calls.append("truncate")
        self.truncations.append((self.n_rounds, n_rounds))
        del self.rounds[n_rounds:]

    def to_bytes(self):
        return repr(self.rounds).encode()

    def checkpoint(self, least_rounds):
        assert 0 <= least_rounds <= self.n_rounds
        return {"rounds": json.dumps(self.rounds).encode()}

    def restore(self, files):
        self.calls.append("restore")
        self.rounds = [tuple(each) for each in json.loads(files["rounds"])]


class ToyDataset:
    def __init__(self, batch):
        self.batch = batch


class ToySource:
    def __init__(self, num_batches, validated=True):
        self.num_batches = num_batches
        self.validated = validated
        self.read = []

    def batch(self, number):
        self.read.append(number)
        return self._rows(number)

    def reference(self):
        return self._rows(-1)

    def validation(self):
        return self._rows(-2) if self.validated else None

    def _rows(self, label):
        return Batch(np.zeros((1, 1), np.float32), np.array([label], np.float32))


class ToyStore:
    """Keeps checkpoints in memory, as the JSON that files would hold.

    With ``dies_at``, the process dies before or after that one is written: ``Killed`` is raised.
    """

    place = "memory"

    def __init__(self, dies_at=None, is_written=True):
        self.kept = []
        self.dies_at = dies_at
        self.is_written = is_written

    def load(self):
        if not self.kept:
            return None
        state, model = self.kept[-1]
        return Checkpoint(converter.structure(json.loads(state), RunState), model)

    def save(self, checkpoint):
        state = json.dumps(converter.unstructure(checkpoint.state))
        dies = checkpoint.state.visit == self.dies_at
        if not dies or self.is_written:
            self.kept.append((state, checkpoint.model))
        if dies:
            self.dies_at = None
            raise Killed


class Killed(BaseException):
    """As a process that is gone: nothing catches it."""
