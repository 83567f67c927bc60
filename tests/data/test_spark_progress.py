"""How far Spark is, asked of a real session."""

import threading
import time

import pytest
from pyspark.sql import functions as F

from batchtrainingbooster.data.spark_progress import spark_progress


def slow_count(spark, tasks, seconds):
    @F.udf("long")
    def wait(number):
        time.sleep(seconds)
        return number

    spark.range(tasks, numPartitions=tasks).select(F.sum(wait("id"))).collect()


def test_tasks_are_counted_while_a_job_runs(spark):
    told = []
    with spark_progress(spark.range(1), lambda *found: told.append(found), seconds=0.05):
        slow_count(spark, 6, 0.2)
    assert told
    assert all(0 <= done <= total and total >= 6 for done, total in told)
    assert len({done for done, _ in told}) > 1, "it goes on"
    done = [done for done, total in told if total == told[0][1]]
    assert done == sorted(done)


def test_jobs_of_others_are_not_counted(spark):
    told = []
    other = threading.Thread(target=slow_count, args=(spark, 4, 0.3))
    other.start()
    with spark_progress(spark.range(1), lambda *found: told.append(found), seconds=0.05):
        time.sleep(0.8)
    other.join()
    assert told == []


def test_a_group_that_the_user_has_set_is_looked_at_and_left_alone(spark):
    told, context = [], spark.sparkContext
    context.setJobGroup("mine", "my work")
    try:
        with spark_progress(spark.range(1), lambda *found: told.append(found), seconds=0.05):
            slow_count(spark, 2, 0.3)
        assert told
        assert context.getLocalProperty("spark.jobGroup.id") == "mine"
        assert context.getLocalProperty("spark.job.description") == "my work"
    finally:
        context.setLocalProperty("spark.jobGroup.id", None)
        context.setLocalProperty("spark.job.description", None)


def test_nothing_is_left_behind(spark):
    context = spark.sparkContext

    def fail():
        with spark_progress(spark.range(1), lambda *found: None, seconds=0.05):
            group = context.getLocalProperty("spark.jobGroup.id")
            assert group.startswith("batchtrainingbooster-")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert context.getLocalProperty("spark.jobGroup.id") is None
    assert context.getLocalProperty("spark.job.description") is None
    assert "spark-progress" not in [thread.name for thread in threading.enumerate()]


def test_an_error_in_who_is_told_is_raised_when_the_work_is_done(spark):
    counted = []

    def fail(done, total):
        raise ZeroDivisionError

    def work():
        with spark_progress(spark.range(1), fail, seconds=0.05):
            slow_count(spark, 2, 0.3)
            counted.append(True)

    with pytest.raises(ZeroDivisionError):
        work()
    assert counted


def test_what_is_no_frame_of_spark_tells_nothing_and_is_refused_elsewhere():
    with spark_progress(None, lambda *found: pytest.fail("told"), seconds=0.01):
        time.sleep(0.05)
