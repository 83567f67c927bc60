"""Seconds by stage."""

import time

import pytest

from batchtrainingbooster.core.timing import measured, timed


def test_time_of_an_inner_stage_is_its_own_alone():
    with measured() as seconds, timed("boosting"):
        time.sleep(0.02)
        with timed("evaluation"):
            time.sleep(0.04)
    assert seconds["evaluation"] == pytest.approx(0.04, abs=0.015)
    assert seconds["boosting"] == pytest.approx(0.02, abs=0.015)


def test_stages_of_one_name_add_up_at_any_depth():
    with measured() as seconds:
        for _ in range(2):
            with timed("reading"), timed("reading"):
                time.sleep(0.01)
    assert list(seconds) == ["reading"]
    assert 0.02 <= seconds["reading"] < 0.06


def test_a_stage_that_fails_counts():
    def fail():
        with timed("reading"):
            time.sleep(0.01)
            raise ValueError("x")

    with measured() as seconds, pytest.raises(ValueError, match="x"):
        fail()
    assert seconds["reading"] >= 0.01


def test_nothing_is_measured_unasked():
    with timed("reading"):
        pass
    with measured() as seconds:
        pass
    assert seconds == {}
