"""What staging promises for ranking: the rows of a query stay together."""

from collections import Counter

import attrs
import numpy as np
import pyarrow.parquet as pq
import pytest
from pyspark.sql import functions as F
from pyspark.sql import types as T

from batchtrainingbooster.core.batching import OVERHEAD_BYTES, RowMemory
from batchtrainingbooster.core.config import TrainingConfig
from batchtrainingbooster.core.table import TargetKind
from batchtrainingbooster.data.assign import num_partitions
from batchtrainingbooster.data.columns import check_same_columns, choose_columns
from batchtrainingbooster.data.filesystem import Folder
from batchtrainingbooster.data.placing import place_rows
from batchtrainingbooster.data.profile import bucket_of, profile
from batchtrainingbooster.data.reader import StagedSource
from batchtrainingbooster.data.source import Source
from batchtrainingbooster.data.staging import schema_of, stage
from batchtrainingbooster.data.writing import StagingJob
from batchtrainingbooster.errors import ColumnNotFoundError, ConfigError, DataError, StagingError

GROUP_TYPES = {"string": lambda q: f"query {q}", "int": int, "bigint": int}


def frame_of(spark, n_queries=60, kind="int", partitions=4, seed=0, largest=30):
    """Queries of 1 to ``largest`` rows; the feature ``number`` says which query a row is of."""
    rng = np.random.default_rng(seed)
    rows = [
        (GROUP_TYPES[kind](q), float(q), float(a), str(c), int(y))
        for q, n in enumerate(rng.integers(1, largest + 1, n_queries).tolist())
        for a, c, y in zip(
            rng.standard_normal(n), rng.choice(["red", "green"], n), rng.integers(0, 5, n),
            strict=True,
        )
    ]  # fmt: skip
    rng.shuffle(rows)
    schema = f"q {kind}, number double, a double, c string, y int"
    return spark.createDataFrame(rows, schema).repartition(partitions)


def job_of(frame, valid=None, **config):
    config = TrainingConfig(group_column="q", **config)
    columns = choose_columns(frame, "y", config)

    def look(frame, where):
        source = Source(frame, columns, config.seed)
        return source, profile(source, where, regression=False, allow_precision_loss=False)

    train, found = look(frame, "train_dataframe")
    valid, valid_found = (None, None) if valid is None else look(valid, "valid_dataframe")
    return StagingJob(
        train=train,
        train_profile=found,
        valid=valid,
        valid_profile=valid_found,
        schema=schema_of(train, found, TargetKind.RANKING),
        config=config,
    )


def stage_to(path, frame, **config):
    folder = Folder(str(path))
    job = job_of(frame, **config)
    manifest = stage(job, place_rows(job), folder)
    return StagedSource(folder, manifest), manifest


def parts_of(source):
    batches = [source.batch(number) for number in range(source.num_batches)]
    return batches if source.validation() is None else [*batches, source.validation()]


def queries_of(batch):
    """The query of each group, once it is sure that it is one."""
    numbers = np.split(batch.features[:, 0], np.cumsum(batch.group)[:-1])
    assert all(len(set(own)) == 1 for own in numbers)
    return [own[0] for own in numbers]


def assert_same(batches, others):
    for one, other in zip(batches, others, strict=True):
        np.testing.assert_array_equal(one.features, other.features)
        np.testing.assert_array_equal(one.label, other.label)
        np.testing.assert_array_equal(one.group, other.group)


@pytest.mark.parametrize("kind", GROUP_TYPES)
@pytest.mark.parametrize("fraction", [None, 0.3])
def test_queries_are_whole_in_one_batch_or_in_validation(spark, tmp_path, kind, fraction):
    frame = frame_of(spark, kind=kind)
    source, manifest = stage_to(tmp_path / "s", frame, num_batches=4, validation_fraction=fraction)
    parts = parts_of(source)
    assert manifest.grouped
    assert len(parts) == 4 + (fraction is not None)
    found = {}
    for batch in parts:
        assert batch.group.dtype == np.int64
        assert batch.group.min() >= 1
        assert batch.group.sum() == len(batch.label) == len(batch.features)
        assert batch.weight is None
        for query, n in zip(queries_of(batch), batch.group.tolist(), strict=True):
            # Neither in another batch nor twice in this one.
            assert query not in found
            found[query] = n
    assert found == {row.number: row["count"] for row in frame.groupBy("number").count().collect()}


def test_every_row_is_in_exactly_one_batch_with_its_grade(spark, tmp_path):
    frame = frame_of(spark)
    source, manifest = stage_to(tmp_path / "s", frame, num_batches=3)
    colours = manifest.schema.features[2].categories
    staged = Counter(
        (number, a, colours[int(c)], y)
        for batch in parts_of(source)
        for (number, a, c), y in zip(batch.features.tolist(), batch.label.tolist(), strict=True)
    )
    rows = frame.collect()
    assert staged == Counter((r.number, float(np.float32(r.a)), r.c, float(r.y)) for r in rows)


def test_boolean_queries_are_two(spark, tmp_path):
    frame = frame_of(spark).withColumn("q", F.col("number") < 20)
    source, _ = stage_to(tmp_path / "s", frame, num_batches=2)
    for batch in parts_of(source):
        assert len(batch.group) == 1
        assert len(set(batch.features[:, 0] < 20)) == 1


@pytest.mark.parametrize("fraction", [None, 0.25])
def test_batches_do_not_depend_on_order_or_partitioning(spark, tmp_path, monkeypatch, fraction):
    frame = frame_of(spark)
    settings = {"num_batches": 3, "validation_fraction": fraction}
    source, manifest = stage_to(tmp_path / "s", frame.coalesce(1), **settings)
    for name, other in {
        "many": frame.repartition(7, "a"), "sorted": frame.orderBy(F.desc("a")),
    }.items():  # fmt: skip
        again, same = stage_to(tmp_path / name, other, **settings)
        assert same.fingerprint == manifest.fingerprint
        assert_same(parts_of(source), parts_of(again))
    # nor on the number of shuffle partitions
    monkeypatch.setattr(
        "batchtrainingbooster.data.writing.num_partitions",
        lambda rows, *more: num_partitions(16_384 * rows, *more),
    )
    scattered, of_many = stage_to(tmp_path / "scattered", frame, **settings)
    assert max(len(part.files) for part in of_many.batches) > 4
    assert_same(parts_of(source), parts_of(scattered))


@pytest.mark.parametrize("in_memory", [True, False])
def test_queries_are_whole_where_most_are_not_ranked(spark, tmp_path, monkeypatch, in_memory):
    if not in_memory:
        monkeypatch.setattr("batchtrainingbooster.data.writing.MAX_BYTES", 0)
    monkeypatch.setattr("batchtrainingbooster.core.batching._REFERENCE_ROWS", 100)
    monkeypatch.setattr("batchtrainingbooster.core.batching._REFERENCE_BYTES", 1)
    frame = frame_of(spark, n_queries=200)
    settings = {"num_batches": 3, "validation_fraction": 0.2}
    source, manifest = stage_to(tmp_path / "s", frame.coalesce(1), **settings)
    assert [len(part.files) for part in manifest.batches] == [2] * 3
    again, _ = stage_to(tmp_path / "t", frame.repartition(5, "a"), **settings)
    assert_same(parts_of(source), parts_of(again))
    found = [query for batch in parts_of(source) for query in queries_of(batch)]
    assert sorted(found) == list(range(200))
    assert 100 <= len(source.reference().label) <= 102


def test_seed_decides_the_batches_and_the_held_out_queries(spark, tmp_path):
    frame = frame_of(spark)
    (a, _), (b, _) = (
        stage_to(tmp_path / str(s), frame, num_batches=2, validation_fraction=0.3, seed=s)
        for s in (1, 2)
    )
    for one, other in zip(parts_of(a), parts_of(b), strict=True):
        assert set(queries_of(one)) != set(queries_of(other))


def test_batches_are_equal_and_the_fraction_met_to_within_a_bucket(spark, tmp_path):
    frame = frame_of(spark, n_queries=100, largest=20)
    _, manifest = stage_to(tmp_path / "s", frame, num_batches=5, validation_fraction=0.25)
    largest = int(job_of(frame).train_profile.counts.max())
    sizes = [part.rows for part in manifest.batches]
    assert max(sizes) - min(sizes) <= largest
    assert abs(manifest.validation.rows - 0.25 * frame.count()) <= largest
    assert sum(sizes) + manifest.validation.rows == manifest.source_rows == frame.count()


def test_rows_lie_in_files_by_query_and_hash(spark, tmp_path):
    _, manifest = stage_to(tmp_path / "s", frame_of(spark), num_batches=3, validation_fraction=0.2)
    for part in (*manifest.batches, manifest.validation):
        for file in part.files:
            table = pq.read_table(tmp_path / "s" / file.name, columns=["group_hash", "row_hash"])
            keys = list(zip(*table.to_pydict().values(), strict=True))
            assert keys == sorted(keys)


def test_valid_dataframe_is_read_by_query_too(spark, tmp_path):
    valid = frame_of(spark, n_queries=9, seed=5)
    source, manifest = stage_to(tmp_path / "s", frame_of(spark), valid=valid, num_batches=2)
    batch = source.validation()
    assert manifest.validation.rows == valid.count()
    assert sorted(queries_of(batch)) == list(range(9))
    assert batch.group.sum() == len(batch.label)


def test_equal_rows_of_a_query_stay_in_it(spark, tmp_path):
    frame = spark.createDataFrame(
        [(q, float(q), 1) for q in range(6)] * 50, "q int, number double, y int"
    )
    source, _ = stage_to(tmp_path / "s", frame, num_batches=3)
    for batch in parts_of(source):
        assert batch.group.tolist() == [50, 50]
        queries_of(batch)


def test_reference_is_a_sample_of_all_batches(spark, tmp_path):
    source, _ = stage_to(tmp_path / "s", frame_of(spark), num_batches=3)
    reference = source.reference()
    assert set(reference.features[:, 1]) <= {
        a for batch in parts_of(source) for a in batch.features[:, 1]
    }
    assert len(reference.label) >= 3


def test_grades_are_neither_binned_nor_classes(spark):
    frame = frame_of(spark)
    found = job_of(frame).train_profile
    assert found.bins is None
    assert found.classes == ()
    assert len(found.counts) == 1
    bucket = bucket_of(F.expr(job_of(frame).train.group_hash))
    rows = job_of(frame).train.frame.groupBy(bucket.alias("b")).count().collect()
    assert {row.b: row["count"] for row in rows} == {
        int(b): found.counts[0, b] for b in np.flatnonzero(found.counts[0])
    }


def test_source_is_evaluated_twice(spark, tmp_path):
    evaluated = spark.sparkContext.accumulator(0)

    def count(value):
        evaluated.add(1)
        return value

    frame = frame_of(spark).cache()
    n = frame.count()
    counted = F.udf(count, T.DoubleType()).asNondeterministic()
    job = job_of(frame.withColumn("a", counted("a")), num_batches=5, validation_fraction=0.2)
    assert evaluated.value == n
    stage(job, place_rows(job), Folder(str(tmp_path / "s")))
    assert evaluated.value == 2 * n
    frame.unpersist()


def test_default_number_of_batches_is_at_most_that_of_the_queries(spark, tmp_path):
    many, few = frame_of(spark), frame_of(spark, n_queries=6)
    assert stage_to(tmp_path / "many", many)[0].num_batches == 10
    assert stage_to(tmp_path / "few", few)[0].num_batches == 6
    source, _ = stage_to(tmp_path / "held out", few, validation_fraction=0.3)
    assert source.num_batches == 6 - len(source.validation().group)


def budget_for(rows, validation_rows=0):
    row = RowMemory(n_columns=3, n_outputs=1)
    return OVERHEAD_BYTES + (rows + validation_rows) * row.bytes


@pytest.mark.parametrize("rows", [30, 33, 50, 200, 10_000])
def test_no_batch_is_larger_than_the_budget(spark, tmp_path, rows):
    frame = frame_of(spark)
    _, manifest = stage_to(tmp_path / "s", frame, memory_budget=budget_for(rows))
    assert max(part.rows for part in manifest.batches) <= rows
    assert len(manifest.batches) >= frame.count() / rows


def test_a_budget_too_small_for_a_query_is_refused(spark, tmp_path):
    frame = frame_of(spark)
    largest = frame.groupBy("q").count().agg(F.max("count")).collect()[0][0]
    with pytest.raises(ConfigError, match=f"memory_budget: .* {largest} rows that are never split"):
        stage_to(tmp_path / "s", frame, memory_budget=budget_for(largest - 1))
    assert not (tmp_path / "s").exists()


def test_more_batches_than_queries_are_refused(spark, tmp_path):
    frame = frame_of(spark, n_queries=6)
    with pytest.raises(ConfigError, match=r"^config_training: num_batches: got 7, .* 6 parts"):
        stage_to(tmp_path / "s", frame, num_batches=7)
    with pytest.raises(ConfigError, match=r"^config_training: validation_fraction: .*single query"):
        stage_to(tmp_path / "s", frame.where("q = 1"), num_batches=1, validation_fraction=0.2)


def test_staged_data_is_found_again_and_only_for_its_group_column(spark, tmp_path):
    frame = frame_of(spark)
    _, manifest = stage_to(tmp_path / "s", frame, num_batches=2)
    assert stage_to(tmp_path / "s", frame.repartition(3), num_batches=2)[1] == manifest
    job = job_of(frame, num_batches=2)
    other = attrs.evolve(job.columns, group="c")
    object.__setattr__(job.train, "columns", other)
    with pytest.raises(StagingError, match="other settings"):
        stage(job, place_rows(job), Folder(str(tmp_path / "s")))


def test_rows_of_other_queries_are_other_rows(spark):
    frame = frame_of(spark)
    moved = frame.withColumn("q", F.col("q") + 1)
    assert job_of(frame).train_profile.checksum != job_of(moved).train_profile.checksum


@pytest.mark.parametrize("kind", GROUP_TYPES)
def test_null_queries_are_counted(spark, kind):
    frame = frame_of(spark, kind=kind).withColumn("q", F.when(F.col("number") > 2, F.col("q")))
    n = frame.where("q is null").count()
    assert n > 0
    with pytest.raises(DataError, match=f"train_dataframe: group_column 'q' is null in {n} rows"):
        job_of(frame)
    with pytest.raises(DataError, match=f"valid_dataframe: group_column 'q' is null in {n} rows"):
        job_of(frame.where("q is not null"), valid=frame)


def test_null_grades_are_refused(spark):
    frame = frame_of(spark).withColumn("y", F.when(F.col("number") > 2, F.col("y")))
    with pytest.raises(DataError, match="target 'y' is null or NaN"):
        job_of(frame)


@pytest.mark.parametrize(
    ("change", "config", "error", "message"),
    [
        ({"q": "cast(q as double)"}, {}, DataError,
         "group_column 'q' is double; it must be a string, integer or boolean"),
        ({"q": "current_date()"}, {}, DataError, "group_column 'q' is date; it must be"),
        ({"y": "cast(y as string)"}, {}, DataError, "target 'y' is string; .* must be a number"),
        ({}, {"feature_columns": ("a", "q")}, ConfigError,
         "feature_columns: 'q' is the group_column"),
        ({}, {"categorical_columns": ("q",)}, ConfigError,
         "categorical_columns: 'q' is no feature"),
        ({}, {"group_column": "y"}, ConfigError, "'y' is named for two purposes"),
        ({}, {"group_column": "qq"}, ColumnNotFoundError, "column not found: 'qq'"),
    ],
)  # fmt: skip
def test_columns_that_cannot_name_queries_are_refused(spark, change, config, error, message):
    frame = frame_of(spark).withColumns({name: F.expr(sql) for name, sql in change.items()})
    with pytest.raises(error, match=message):
        choose_columns(frame, "y", TrainingConfig(**{"group_column": "q", **config}))


def test_group_column_is_no_feature(spark):
    columns = choose_columns(frame_of(spark), "y", TrainingConfig(group_column="q"))
    assert [feature.name for feature in columns.features] == ["number", "a", "c"]
    assert columns.names == ("number", "a", "c", "y", "q")


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda f: f.drop("q"), ColumnNotFoundError, "valid_dataframe: column not found: 'q'"),
        (lambda f: f.withColumn("q", F.col("q").cast("string")), DataError,
         "valid_dataframe: columns differ from train_dataframe: 'q' is string, in training int"),
        (lambda f: f.withColumn("q", F.col("q").cast("double")), DataError,
         "valid_dataframe: group_column 'q' is double"),
    ],
)  # fmt: skip
def test_validation_needs_a_group_column_of_the_same_kind(spark, change, error, message):
    frame = frame_of(spark)
    columns = choose_columns(frame, "y", TrainingConfig(group_column="q"))
    check_same_columns(frame.withColumn("q", F.col("q").cast("long")), columns, "valid_dataframe")
    with pytest.raises(error, match=message):
        check_same_columns(change(frame), columns, "valid_dataframe")
