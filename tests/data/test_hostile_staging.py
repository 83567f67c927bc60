"""Any table is staged whole or refused by name, and a source that changes is found out."""

import math
import os
from collections import Counter
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.sql import functions as F
from test_staging import job_of, stage_to

from batchtrainingbooster.core.table import FeatureKind
from batchtrainingbooster.data.filesystem import Folder
from batchtrainingbooster.data.placing import place_rows
from batchtrainingbooster.data.source import Source
from batchtrainingbooster.data.staging import stage
from batchtrainingbooster.errors import ConfigError, DataError, StagingError

FEW = settings(
    max_examples=4,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
OWN_NAMES = st.sampled_from(
    ["label", "row_hash", "batch", "stratum", "weight", "cell", "f0", "c0", "p0", "k0", "numeric"]
)


@given(names=st.lists(OWN_NAMES | TEXT, min_size=3, max_size=8, unique=True), data=st.data())
@FEW
def test_columns_may_have_any_names(spark, tmp_path_factory, names, data):
    features = names[:-1]
    values = [[row * len(names) + i for i in range(len(features))] for row in range(4)]
    rows = [(*map(float, own), f"class {row % 2}") for row, own in enumerate(values)]
    kinds = ", ".join([*[f"v{i} double" for i in range(len(features))], "y string"])
    frame = spark.createDataFrame(rows, kinds).coalesce(1).toDF(*names)
    source, manifest = stage_to(
        tmp_path_factory.mktemp("s"), frame, target=names[-1], num_batches=2
    )
    assert list(manifest.schema.column_names) == features
    found = np.concatenate([source.batch(i).features for i in range(2)])
    assert sorted(found.tolist()) == sorted(values)


# Spark type, and values; numbers that float32 holds, so that what is staged can be foretold.
KINDS = {
    "double": st.floats(width=32, allow_infinity=False) | st.none(),
    "float": st.floats(width=32) | st.none(),
    "int": st.integers(-(2**24), 2**24) | st.none(),
    "bigint": st.sampled_from([0, 1, 2**24 + 1, 2**40, -(2**63), 2**63 - 1]) | st.none(),
    "tinyint": st.integers(-128, 127),
    "boolean": st.booleans() | st.none(),
    "decimal(9,2)": st.integers(-(2**20), 2**20).map(lambda n: Decimal(n) / 4) | st.none(),
    "string": TEXT | st.sampled_from(["null", "NaN", "-1", ""]) | st.none(),
    "array<float>": st.lists(st.floats(width=32, allow_infinity=False) | st.none(), min_size=2,
                             max_size=2) | st.none(),
}  # fmt: skip
TARGETS = {
    "string": TEXT,
    "int": st.integers(-3, 3),
    "double": st.floats(-1000, 1000, width=32),
    "boolean": st.booleans(),
    "bigint": st.integers(2**62, 2**62 + 3),
}


@st.composite
def tables(draw):
    """A DataFrame's schema and rows, some of them repeated."""
    kinds = draw(st.lists(st.sampled_from(list(KINDS)), min_size=1, max_size=5))
    target = draw(st.sampled_from(list(TARGETS)))
    distinct = draw(
        st.lists(st.tuples(*map(KINDS.get, kinds), TARGETS[target]), min_size=2, max_size=12)
    )
    rows = draw(st.lists(st.sampled_from(distinct), min_size=4, max_size=25))
    names = ", ".join(f"`{i}.` {kind}" for i, kind in enumerate(kinds))
    return f"{names}, `y.` {target}", rows


def staged_value(value, feature):
    """What should lie in the matrix."""
    if feature.kind is FeatureKind.ARRAY:
        return [math.nan if v is None else v for v in value or [None] * feature.width]
    if value is None:
        return [math.nan]
    if feature.kind is FeatureKind.CATEGORICAL:
        return [feature.categories.index(value)]
    return [float(np.float32(value))]


def comparable(row):
    """NaN is no value that could be compared."""
    return tuple("missing" if math.isnan(value) else value for value in row)


def test_a_table_is_staged_whole_or_refused_by_name(spark, tmp_path_factory):
    outcomes = Counter()

    @given(table=tables(), num_batches=st.integers(1, 3))
    @settings(FEW, max_examples=8)
    def check(table, num_batches):
        schema, rows = table
        frame = spark.createDataFrame(rows, schema).repartition(2)
        try:
            source, manifest = stage_to(
                tmp_path_factory.mktemp("s"), frame, target="y.", num_batches=num_batches
            )
        except (DataError, ConfigError) as error:
            outcomes[type(error).__name__] += 1
            return
        outcomes["staged"] += 1
        features, classes = manifest.schema.features, manifest.schema.target.classes
        expected = Counter(
            comparable(
                [v for value, f in zip(row, features, strict=False) for v in staged_value(value, f)]
                + [classes.index(row[-1]) if classes else row[-1]]
            )
            for row in rows
        )
        batches = [source.batch(i) for i in range(num_batches)]
        staged = [
            np.column_stack([batch.features, batch.label]).astype(np.float64) for batch in batches
        ]
        assert Counter(comparable(row) for part in staged for row in part.tolist()) == expected

    check()
    assert outcomes["staged"] >= 3
    assert outcomes["DataError"] >= 1


@pytest.fixture(scope="module")
def numbered(spark):
    rows = [(i, float(i % 5), "pq"[i % 2], f"class {i % 3}", i / 7) for i in range(120)]
    return spark.createDataFrame(rows, "i int, a double, c string, y string, z double").cache()


def restaged(job, path, later):
    """Stage as if the source had become another one after it was profiled."""
    object.__setattr__(job, "train", Source(later, job.columns, job.config.seed))
    return stage(job, place_rows(job), Folder(str(path)))


@pytest.mark.parametrize(
    ("column", "change"),
    [
        ("y", "CASE WHEN i >= 20 THEN y END"),
        ("y", "CAST(NULL AS string)"),
        ("y", "CASE WHEN i < 20 THEN 'a class that was not there' ELSE y END"),
        ("y", "CASE WHEN i < 20 THEN 'class 0' ELSE y END"),
        ("z", "CASE WHEN i >= 20 THEN z END"),
        ("z", "double('NaN')"),
        ("z", "1e300D * z"),
        ("c", "CASE WHEN i < 20 THEN 'a category that was not there' ELSE c END"),
        ("c", "CASE WHEN i >= 1 THEN c END"),
        ("a", "double('Infinity')"),
    ],
)
def test_rows_that_change_after_the_first_reading_are_found_out(tmp_path, numbered, column, change):
    target, other = ("z", "y") if column == "z" else ("y", "z")
    frame = numbered.drop(other)
    for fraction in (None, 0.25) if column == "y" else (None,):
        job = job_of(frame, target=target, num_batches=3, validation_fraction=fraction)
        later = frame.withColumn(column, F.expr(change))
        with pytest.raises(StagingError, match=r"the DataFrame gives other rows each time"):
            restaged(job, tmp_path / f"s{fraction}", later)


@pytest.mark.parametrize("damage", ["deleted", "truncated", "overwritten"])
def test_source_files_that_are_lost_or_damaged_are_named(spark, tmp_path, numbered, damage):
    path = tmp_path / "source"
    numbered.drop("z").repartition(2).write.parquet(str(path))
    job = job_of(spark.read.parquet(str(path)), num_batches=2)
    file = min(path.glob("*.parquet"))
    for checksum in path.glob(".*.crc"):
        checksum.unlink()
    if damage == "deleted":
        file.unlink()
    elif damage == "truncated":
        os.truncate(file, 40)
    else:
        file.write_bytes(b"\0" * 40 + file.read_bytes()[40:])
    with pytest.raises(StagingError) as caught:
        stage(job, place_rows(job), Folder(str(tmp_path / "s")))
    message = str(caught.value)
    assert message.startswith("writing ")
    assert "files that the DataFrame reads are gone, or are not what they were" in message
    assert "\n" not in message


def test_text_that_is_no_text_is_told_from_the_sign_for_it(spark, numbered, tmp_path):
    sign = numbered.drop("z").withColumn("c", F.when(F.col("i") < 9, "\ufffd").otherwise("x"))
    _, manifest = stage_to(tmp_path / "s", sign, num_batches=2)
    assert manifest.schema.features[2].categories == ("x", "\ufffd")
    for column in ("c", "y"):
        broken = sign.withColumn(column, F.expr("CASE WHEN i < 9 THEN string(X'FF') ELSE 'x' END"))
        with pytest.raises(DataError, match=rf"'{column}' holds bytes that are no UTF-8 .* in 9 "):
            job_of(broken)


def test_spellings_are_classes_of_their_own_whatever_the_collation(spark, numbered, tmp_path):
    plain = "CASE WHEN i % 3 = 0 THEN 'yes' WHEN i % 3 = 1 THEN 'Yes' ELSE 'yes ' END"
    frame = numbered.drop("z").withColumn("y", F.expr(plain)).withColumn("c", F.col("y"))
    if spark.version >= "4":
        frame = frame.withColumns({n: F.expr(f"{n} COLLATE UTF8_LCASE_RTRIM") for n in "yc"})
    source, manifest = stage_to(tmp_path / "s", frame, num_batches=2)
    assert manifest.schema.target.classes == ("Yes", "yes", "yes ")
    for batch in (source.batch(0), source.batch(1)):
        np.testing.assert_array_equal(batch.features[:, 2], batch.label)


def test_thousands_of_categorical_columns_are_counted_in_one_job(spark):
    columns = [f"string(id % {2 + i % 3}) AS s{i}" for i in range(400)]
    frame = spark.range(0, 30, numPartitions=1).selectExpr(*columns, "string(id % 2) AS y")
    found = job_of(frame).train_profile
    assert [len(found.categories[i]) for i in range(400)] == [2 + i % 3 for i in range(400)]


def test_a_target_of_thousands_of_labels_is_refused(spark, monkeypatch):
    monkeypatch.setattr("batchtrainingbooster.data.profile.MAX_CLASSES", 5)
    frame = spark.range(60).selectExpr("double(id) AS a", "string(id % 6) AS y")
    with pytest.raises(DataError, match=r"'y' has 6 distinct labels \('0', '1', ...\), and 5 "):
        job_of(frame)
