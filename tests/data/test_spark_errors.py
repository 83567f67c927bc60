"""What Spark says when it fails, in the words of its versions, as errors of ours."""

import pytest
from py4j.protocol import Py4JNetworkError
from pyspark.errors import PySparkRuntimeError

from batchtrainingbooster.data.spark_errors import deepest_cause, spark_failures, translated
from batchtrainingbooster.errors import ConfigError, DataError, StagingError

FULL_DISK = """An error occurred while calling o128.parquet.
: org.apache.spark.SparkException: [TASK_WRITE_FAILED] Task failed while writing rows to file:/s.
\tat org.apache.spark.sql.errors.QueryExecutionErrors$.taskFailedWhileWritingRowsError(Q.scala:776)
\tSuppressed: java.io.IOException: stream is closed already
Caused by: org.apache.spark.SparkException: Job aborted due to stage failure: Task 0 in stage 8.0 \
failed 4 times, most recent failure: Lost task 0.3 in stage 8.0 (TID 14) (10.0.0.2 executor 1): \
java.io.IOException: No space left on device
\tat java.base/java.io.FileOutputStream.writeBytes(Native Method)

Driver stacktrace:
\tat org.apache.spark.scheduler.DAGScheduler.failJobAndIndependentStages(DAGScheduler.scala:2856)
Caused by: java.io.IOException: No space left on device
\tat java.base/java.io.FileOutputStream.writeBytes(Native Method)
\t... 28 more
Caused by: java.lang.NullPointerException
"""
FUNCTION_OF_SPARK_3 = """An error occurred while calling o90.collectToPython.
: org.apache.spark.SparkException: Job aborted due to stage failure: Task 1 in stage 3.0 failed 1 \
times, most recent failure: Lost task 1.0 in stage 3.0 (TID 5) (10.0.0.2 executor driver): \
org.apache.spark.api.python.PythonException: Traceback (most recent call last):
  File "/spark/python/lib/pyspark.zip/pyspark/worker.py", line 1247, in main
    process()
  File "/home/me/prices.py", line 12, in per_unit
    return total / count
           ~~~~~~^~~~~~~
ZeroDivisionError: float division by zero

\tat org.apache.spark.api.python.BasePythonRunner$ReaderIterator.handlePythonException(P.scala:572)
"""
LOST_FILE = """[FAILED_READ_FILE.FILE_NOT_EXIST] Encountered error while reading file file:///a.parquet.
\tat org.apache.spark.sql.errors.QueryExecutionErrors$.fileNotExistError(Q.scala:882)
Caused by: java.io.FileNotFoundException: File file:/a.parquet does not exist
"""
NO_MEMORY = """An error occurred while calling o55.collectToPython.
: java.lang.OutOfMemoryError: Java heap space
\tat java.base/java.util.Arrays.copyOf(Arrays.java:3537)
"""
DIVISION = "[DIVIDE_BY_ZERO] Division by zero. Use `try_divide`. SQLSTATE: 22012\n== SQL ==\n1/b"
OURS = """Traceback (most recent call last):
  File "/x/data/encode.py", line 103, in category_codes
batchtrainingbooster.errors.DataError: 'c' is list<element: string>, but its categories are string
"""


@pytest.mark.parametrize(
    ("text", "error", "cause", "remedy"),
    [
        (FULL_DISK, StagingError, "java.io.IOException: No space left on device",
         "make room where"),
        (FUNCTION_OF_SPARK_3, DataError,
         "ZeroDivisionError: float division by zero (/home/me/prices.py, line 12, in per_unit)",
         "mend its plan or the rows that it fails on"),
        (LOST_FILE, StagingError,
         "java.io.FileNotFoundException: File file:/a.parquet does not exist", "are gone"),
        (NO_MEMORY, StagingError, "java.lang.OutOfMemoryError: Java heap space",
         "spark.driver.memory"),
        (DIVISION, DataError, "[DIVIDE_BY_ZERO] Division by zero.", "mend its plan"),
        ("", StagingError, "it did not say why", "is the cause of this one"),
    ],
)  # fmt: skip
def test_message_says_what_was_done_why_it_failed_and_what_to_do(text, error, cause, remedy):
    found = translated(text, "writing train_dataframe")
    assert type(found) is error
    message = str(found)
    assert message.startswith(f"writing train_dataframe: Spark failed: {cause}")
    assert remedy in message
    assert "\n" not in message
    assert "\tat " not in message


def test_our_own_error_from_an_executor_is_itself():
    found = translated(OURS, "scoring")
    assert type(found) is DataError
    assert str(found) == "scoring: 'c' is list<element: string>, but its categories are string"


def test_causes_without_a_word_are_passed_over():
    text = "x\n\tat a\nCaused by: java.io.EOFException: the end\nCaused by: java.lang.Error\n"
    assert deepest_cause(text) == "java.io.EOFException: the end"


@pytest.mark.parametrize(
    "raised",
    [
        Py4JNetworkError("Answer from Java side is empty"),
        ConnectionRefusedError(111, "Connection refused"),
        PySparkRuntimeError("[X] no session"),
    ],
)
def test_whatever_spark_raises_is_translated_and_kept_as_the_cause(raised):
    message = r"counting: Spark failed: .*(empty|refused|session)"
    with pytest.raises(StagingError, match=message) as caught, spark_failures("counting"):
        raise raised
    assert caught.value.__cause__ is raised


def test_other_errors_pass():
    for error in (ConfigError("mine"), KeyError("mine"), KeyboardInterrupt()):
        with pytest.raises(type(error)) as caught, spark_failures("counting"):
            raise error
        assert caught.value is error


def test_secrets_in_what_spark_says_are_shown_nowhere():
    text = "cannot list s3a://AKIA:hidden@bucket/rows"
    with pytest.raises(StagingError) as caught, spark_failures("writing s3a://AKIA:hidden@b/c"):
        raise PySparkRuntimeError(text)
    assert str(caught.value).count("***@b") == 2
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
