"""A run that dies and goes on is the run that did not die: the loop over a toy booster."""

import json
import math
import signal

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_loop import plan
from toy import Killed, ToyBackend, ToySource, ToyStore

from batchtrainingbooster.core.history import History
from batchtrainingbooster.core.interruption import Interruption, noticed_signals
from batchtrainingbooster.core.loop import run_visits
from batchtrainingbooster.core.schedules import Exponential, FromCallable, Plateau

SETTINGS = st.fixed_dictionaries(
    {
        "num_epochs": st.integers(1, 2),
        "rounds_per_visit": st.integers(1, 4),
        "early_stopping_rounds": st.one_of(st.none(), st.integers(1, 2)),
        "max_patience": st.integers(1, 4),
        "min_delta": st.sampled_from([0, 3]),
        "maximize": st.booleans(),
        "warm_restart": st.sampled_from(["best", "last"]),
        "strategy": st.sampled_from(["incremental", "external_memory"]),
        "schedule": st.sampled_from(
            [
                Exponential(initial_lr=0.4, decay_rate=0.5),
                Exponential(initial_lr=0.4, decay_rate=0.5, per="round"),
                Plateau(initial_lr=0.4, decay_rate=0.5, plateau_patience=1),
                FromCallable(function=lambda visit: 1 / (visit + 1)),
            ]
        ),
    }
)


class OfItsPlace(ToyBackend):
    """Its metrics follow from the model alone, as a real booster's do."""

    def __init__(self, values, earlier_rounds=0):
        super().__init__([], earlier_rounds, earlier_loss=values[0])
        self.values = values

    def boost(self, dataset, learning_rates, after_round, is_wanted=None):
        first = len(self.rounds) + sum(len(str(each)) for each in self.rounds)
        self.script = [self.values[(first + i) % len(self.values)] for i in range(10)]
        super().boost(dataset, learning_rates, after_round)


def outcome(state, backend):
    rows = [attrs.evolve(row, seconds=0.0) for row in state.history]
    # NaN is not equal to itself.
    return repr(attrs.evolve(state, history=History(tuple(rows)))), backend.rounds


@given(
    values=st.lists(
        st.one_of(st.integers(0, 20).map(float), st.just(math.nan)), min_size=1, max_size=30
    ),
    settings=SETTINGS,
    earlier_rounds=st.sampled_from([0, 3]),
    every=st.integers(1, 3),
    is_written=st.booleans(),
)
def test_run_that_dies_after_any_visit_goes_on_as_if_nothing_had_happened(
    values, settings, earlier_rounds, every, is_written
):
    the_plan = plan(**settings, checkpoint_every=every)
    source, undisturbed = ToySource(4), OfItsPlace(values, earlier_rounds)
    expected = outcome(run_visits(the_plan, source, undisturbed), undisturbed)
    for dies_at in range(1, 9):
        store = ToyStore(dies_at, is_written)
        for _ in range(2):
            backend = OfItsPlace(values, earlier_rounds)
            try:
                state = run_visits(the_plan, source, backend, store)
            except Killed:
                continue
            assert outcome(state, backend) == expected
            break
        else:
            pytest.fail("never came to its end")


def test_finished_run_reads_no_batch_again():
    store, source = ToyStore(), ToySource(2)
    run_visits(plan(), source, ToyBackend([5, 4, 3, 3.5]), store)
    read, backend = list(source.read), ToyBackend([])
    state = run_visits(plan(), source, backend, store)
    assert source.read == read
    assert backend.calls == ["start", "restore", "truncate"]
    assert backend.n_rounds == state.best.n_rounds == 3


def test_checkpoints_come_every_so_many_visits_and_at_the_end():
    store = ToyStore()
    run_visits(plan(checkpoint_every=3), ToySource(5), ToyBackend(list(range(20, 0, -1))), store)
    assert [json.loads(state)["visit"] for state, _ in store.kept] == [3, 5]


class Interrupting(ToyBackend):
    """Sends the process a signal within a round."""

    def __init__(self, script, in_round, interruption):
        super().__init__(script)
        self.left, self.interruption = in_round, interruption

    def boost(self, dataset, learning_rates, after_round, is_wanted=None):
        def counted(metrics):
            self.left -= 1
            if self.left == 0:
                self.interruption.signal = signal.SIGTERM
            return after_round(metrics)

        super().boost(dataset, learning_rates, counted)


@pytest.mark.parametrize("every", [1, 2, 9])
@pytest.mark.parametrize("in_round", range(1, 13))
def test_interrupted_run_finishes_its_round_and_keeps_every_finished_visit(in_round, every, caplog):
    the_plan = plan(rounds_per_visit=3, checkpoint_every=every)
    script = [float(loss) for loss in (9, 8, 7, 8, 7, 9, 6, 5, 6, 4, 5, 3)]
    undisturbed, source = ToyBackend(script), ToySource(4)
    expected = outcome(run_visits(the_plan, source, undisturbed), undisturbed)
    store, interruption = ToyStore(), Interruption()
    backend = Interrupting(script, in_round, interruption)
    with pytest.raises(SystemExit) as caught:
        run_visits(the_plan, source, backend, store, interruption)
    assert caught.value.code == 143
    assert backend.left == 0, "no round after this one"
    finished = in_round // 3
    line = caplog.records[-1].getMessage()
    assert f"{finished} visits are kept in memory" in line
    again = ToyBackend(script[3 * finished :])
    assert outcome(run_visits(the_plan, source, again, store), again) == expected


def test_interruption_of_a_run_that_is_over_ends_it_too():
    store, interruption = ToyStore(), Interruption()
    run_visits(plan(), ToySource(2), ToyBackend([5.0, 4, 3, 3.5]), store)
    interruption.signal = signal.SIGTERM
    with pytest.raises(SystemExit):
        run_visits(plan(), ToySource(2), ToyBackend([]), store, interruption)


def test_interruption_before_a_round_trains_none():
    interruption = Interruption()
    interruption.signal = signal.SIGINT
    backend = ToyBackend([5, 4])
    with pytest.raises(KeyboardInterrupt, match="0 visits are kept in memory"):
        run_visits(plan(), ToySource(1), backend, ToyStore(), interruption)
    assert backend.rounds == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_first_signal_is_noted_and_the_next_obeyed(number, caplog):
    before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    obeyed = []
    signal.signal(number, lambda *_: obeyed.append(number))
    own = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    try:
        with noticed_signals() as interruption:
            signal.raise_signal(number)
            assert interruption.signal is number
            assert f"{number.name}: training ends after this round" in caplog.text
            assert obeyed == []
            signal.raise_signal(number)
            assert obeyed == [number]
        assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == own
    finally:
        for n, handler in zip((signal.SIGINT, signal.SIGTERM), before, strict=True):
            signal.signal(n, handler)


@pytest.mark.parametrize(("script", "least"), [([5.0, 4, 6, 6], 2), (None, 4)])
def test_checkpoint_need_not_reach_back_behind_where_a_cut_may_go(script, least):
    asked = []

    class Asked(ToyBackend):
        def checkpoint(self, least_rounds):
            asked.append(least_rounds)
            return super().checkpoint(least_rounds)

    run_visits(plan(), ToySource(2, validated=script is not None), Asked(script), ToyStore())
    # Without validation nothing is ever cut.
    assert asked == [2, least]
