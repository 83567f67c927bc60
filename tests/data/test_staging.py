"""What staging promises, checked on what lies on disk."""

import json
from collections import Counter
from itertools import pairwise

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.ml.linalg import Vectors, VectorUDT
from pyspark.sql import functions as F
from pyspark.sql import types as T

from batchtrainingbooster.core.batching import deal, lay, plan_strata, reference_rows
from batchtrainingbooster.core.cells import N_CELLS, UNDECIDED, cells_of, plan_cells
from batchtrainingbooster.core.config import TrainingConfig
from batchtrainingbooster.core.table import TargetKind
from batchtrainingbooster.data import staging
from batchtrainingbooster.data.assign import num_partitions, rank_shifts
from batchtrainingbooster.data.bins import cell_of
from batchtrainingbooster.data.columns import choose_columns
from batchtrainingbooster.data.filesystem import Folder
from batchtrainingbooster.data.manifest import read_manifest
from batchtrainingbooster.data.placing import place_rows
from batchtrainingbooster.data.profile import profile
from batchtrainingbooster.data.reader import StagedSource
from batchtrainingbooster.data.source import Source
from batchtrainingbooster.data.staging import schema_of, stage, unstage
from batchtrainingbooster.data.writing import StagingJob
from batchtrainingbooster.errors import StagingError


def job_of(frame, target="y", valid=None, **config):
    config = TrainingConfig(**config)
    columns = choose_columns(frame, target, config)
    source = Source(frame, columns, config.seed)
    found = profile(source, "train_dataframe", regression=None, allow_precision_loss=False)
    if found.bins is not None:
        kind = TargetKind.REGRESSION
    else:
        kind = TargetKind.BINARY if len(found.classes) == 2 else TargetKind.MULTICLASS
    return StagingJob(
        train=source,
        train_profile=found,
        valid=None,
        valid_profile=None,
        schema=schema_of(source, found, kind),
        config=config,
    )


def stage_to(path, frame, **config):
    job = job_of(frame, **config)
    folder = Folder(str(path))
    manifest = stage(job, place_rows(job), folder)
    return StagedSource(folder, manifest), manifest


def staged_rows(path, manifest):
    """Each batch as a sorted list of its rows, read with nothing of ours."""
    return [
        sorted(
            tuple(row.items())
            for file in part.files
            for row in pq.read_table(path / file.name).to_pylist()
        )
        for part in manifest.batches
    ]


def frame_of(spark, n, n_classes=3, seed=0, partitions=4):
    rng = np.random.default_rng(seed)
    rows = [
        (float(a), int(b), str(c), f"class {k}")
        for a, b, c, k in zip(
            rng.standard_normal(n),
            rng.integers(0, 50, n),
            rng.choice(["red", "green", "blue"], n),
            rng.choice(n_classes, n, p=np.arange(1, n_classes + 1) / sum(range(n_classes + 1))),
            strict=True,
        )
    ]
    schema = "a double, b int, c string, y string"
    return spark.createDataFrame(rows, schema).repartition(partitions)


def test_every_row_is_in_exactly_one_batch(spark, tmp_path):
    frame = frame_of(spark, 1_000)
    _, manifest = stage_to(tmp_path / "s", frame, num_batches=7)
    staged = Counter()
    for rows in staged_rows(tmp_path / "s", manifest):
        staged.update((d["f0"], d["f1"], d["f2"], d["label"]) for d in map(dict, rows))
    classes = manifest.schema.target.classes
    source = Counter(
        (float(np.float32(row.a)), float(row.b), row.c, float(classes.index(row.y)))
        for row in frame.collect()
    )
    assert staged == source


@pytest.mark.parametrize("num_batches", [1, 2, 7, 10])
def test_classes_are_spread_to_within_one_row(spark, tmp_path, num_batches):
    frame = frame_of(spark, 1_003)
    _, manifest = stage_to(tmp_path / "s", frame, num_batches=num_batches)
    counts = np.array(
        [
            [
                sum(dict(row)["label"] == i for row in rows)
                for i in range(len(manifest.schema.target.classes))
            ]
            for rows in staged_rows(tmp_path / "s", manifest)
        ]
    )
    exact = counts.sum(axis=0) / num_batches
    assert (np.abs(counts - exact) < 1).all()
    sizes = counts.sum(axis=1)
    assert sizes.max() - sizes.min() <= 1
    assert counts.tolist() == [list(part.strata) for part in manifest.batches]


def test_regression_bins_are_spread_to_within_one_row(spark, tmp_path):
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.standard_normal(900) ** 3, np.zeros(200)])
    frame = spark.createDataFrame([(float(v), float(v)) for v in values], "a double, y double")
    _, manifest = stage_to(tmp_path / "s", frame, num_batches=6)
    assert manifest.schema.target.kind is TargetKind.REGRESSION
    assert len(manifest.bins) >= 7
    edges = [-np.inf, *manifest.bins, np.inf]
    counts = np.array(
        [
            [sum(low < dict(row)["label"] <= high for row in rows)
             for low, high in pairwise(edges)]
            for rows in staged_rows(tmp_path / "s", manifest)
        ]
    )  # fmt: skip
    assert (np.abs(counts - counts.mean(axis=0)) < 1).all()
    assert counts.sum() == len(values)


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    rows=st.lists(
        st.tuples(
            st.one_of(st.none(), st.floats(width=32, allow_infinity=False)),
            st.one_of(st.none(), st.sampled_from(["", "a", "b"])),
            st.sampled_from(["x", "y", "z"]),
        ),
        min_size=12,
        max_size=60,
    ).filter(lambda rows: len({row[2] for row in rows}) > 1),
    num_batches=st.integers(1, 8),
    seeds=st.tuples(st.integers(0, 2**31), st.integers(1, 9), st.randoms()),
)
def test_batches_do_not_depend_on_order_or_partitioning(
    spark, tmp_path_factory, rows, num_batches, seeds
):
    seed, partitions, random = seeds
    shuffled = list(rows)
    random.shuffle(shuffled)
    schema = "a float, b string, y string"
    one = spark.createDataFrame(rows, schema).coalesce(1)
    other = spark.createDataFrame(shuffled, schema).repartition(partitions)
    paths = [tmp_path_factory.mktemp("s") for _ in range(2)]
    (first, m1), (second, m2) = (
        stage_to(path, frame, num_batches=num_batches, seed=seed)
        for path, frame in zip(paths, (one, other), strict=True)
    )
    assert m1.fingerprint == m2.fingerprint
    for number in range(num_batches):
        a, b = first.batch(number), second.batch(number)
        np.testing.assert_array_equal(a.features, b.features)
        np.testing.assert_array_equal(a.label, b.label)


def test_laid_batches_do_not_depend_on_order_or_partitioning(spark, tmp_path, small_sample, ranked):
    frame = frame_of(spark, 5_000, n_classes=2).cache()
    settings = {"num_batches": 3, "validation_fraction": 0.2}
    source, manifest = stage_to(tmp_path / "s", frame.coalesce(1), **settings)
    for name, other in {
        "many": frame.repartition(9, "a"), "sorted": frame.orderBy(F.desc("a")),
    }.items():  # fmt: skip
        again, same = stage_to(tmp_path / name, other, **settings)
        assert same.fingerprint == manifest.fingerprint
        for one, two in zip(
            [*map(source.batch, range(3)), source.validation(), source.reference()],
            [*map(again.batch, range(3)), again.validation(), again.reference()],
            strict=True,
        ):
            np.testing.assert_array_equal(one.features, two.features)
            np.testing.assert_array_equal(one.label, two.label)


def test_reference_sample_of_a_sorted_source_is_random(spark, tmp_path, small_sample, ranked):
    frame = frame_of(spark, 8_000, n_classes=2).orderBy("a")
    source, manifest = stage_to(tmp_path / "s", frame, num_batches=4)
    reference = source.reference()
    assert len(reference.label) == 100
    assert not (tmp_path / "s" / "train" / "batch=-2").exists()
    whole = np.concatenate([source.batch(i).features[:, 0] for i in range(4)])
    # The mean of 100 rows at random lies within 4 standard errors.
    assert abs(reference.features[:, 0].mean() - whole.mean()) < 4 * whole.std() / 10
    share = np.array(manifest.class_counts) / manifest.source_rows
    assert abs((reference.label == 0).mean() - share[0]) < 4 * np.sqrt(share[0] * share[1] / 100)


def test_another_seed_gives_other_batches(spark, tmp_path):
    frame = frame_of(spark, 200)
    (a, _), (b, _) = (stage_to(tmp_path / str(s), frame, num_batches=2, seed=s) for s in (1, 2))
    assert not np.array_equal(a.batch(0).features, b.batch(0).features)


def test_ten_distinct_rows_repeated_are_spread_evenly(spark, tmp_path):
    distinct = spark.createDataFrame(
        [(float(i), f"c{i % 2}") for i in range(10)], "a float, y string"
    )
    frame = distinct.crossJoin(spark.range(10_000)).drop("id").repartition(5)
    source, manifest = stage_to(tmp_path / "s", frame, num_batches=8)
    assert [part.rows for part in manifest.batches] == [12_500] * 8
    for number in range(8):
        values, counts = np.unique(source.batch(number).features[:, 0], return_counts=True)
        assert len(values) == 10
        assert counts.min() >= 1_249
        assert counts.max() <= 1_251


def test_nulls_in_different_columns_are_different_rows(spark):
    frame = spark.createDataFrame(
        [(None, 5.0, "x"), (5.0, None, "y")], "a double, b double, y string"
    )
    columns = choose_columns(frame, "y", TrainingConfig())
    same_label = frame.withColumn("y", F.lit("x"))
    source = Source(same_label, columns, 0)
    assert source.frame.selectExpr(source.row_hash).distinct().count() == 2


def test_classes_rarer_than_batches_are_reported(spark, tmp_path, caplog):
    rows = [(float(i), "common") for i in range(40)] + [(0.5, "rare"), (1.5, "rare")]
    frame = spark.createDataFrame(rows, "a double, y string")
    _, manifest = stage_to(tmp_path / "s", frame, num_batches=4)
    assert sorted(part.strata[1] for part in manifest.batches) == [0, 0, 1, 1]
    assert "'rare' (2 rows)" in caplog.text


@pytest.mark.parametrize(
    ("settings", "warned"),
    [
        ({"num_batches": 4}, True),
        ({"num_batches": 4, "validation_fraction": 0.5}, True),
        ({"num_batches": 1}, False),
        ({"num_batches": 4, "strategy": "external_memory"}, False),
    ],
)
def test_few_rows_a_batch_are_warned_of(spark, tmp_path, caplog, monkeypatch, settings, warned):
    caplog.set_level("WARNING", "batchtrainingbooster")
    frame = frame_of(spark, 400)
    stage_to(tmp_path / "s", frame, **settings)
    rows = "50" if "validation_fraction" in settings else "100"
    assert (f"{rows} rows a batch: with fewer than 100,000" in caplog.text) is warned
    monkeypatch.setattr("batchtrainingbooster.data.placing.FEW_ROWS", 50)
    caplog.clear()
    stage_to(tmp_path / "t", frame, **settings)
    assert caplog.text == ""


def test_integers_that_are_no_classes_cost_a_third_look(spark, tmp_path):
    evaluated = spark.sparkContext.accumulator(0)

    def count(value):
        evaluated.add(1)
        return value

    counted = F.udf(count, T.DoubleType()).asNondeterministic()
    rows = [(float(i), i % 7, 1000 * (i % 3), i) for i in range(300)]
    frame = spark.createDataFrame(rows, "a double, few int, large int, many int")
    looks = {}
    for target, kind in {"few": 7, "large": 3, "many": 0}.items():
        evaluated.value = 0
        job = job_of(frame.withColumn("a", counted("a")), target=target, num_batches=2)
        assert len(job.train_profile.classes) == kind
        looks[target] = evaluated.value // 300
    assert looks == {"few": 1, "large": 2, "many": 2}


@pytest.mark.parametrize(
    ("values", "classes"),
    [
        ([0.0, 1.0], (0.0, 1.0)),
        ([0.0, 1.0, 0.5], ()),
        ([1e6, 2e6], (1e6, 2e6)),
        ([float(i) for i in range(20)], tuple(float(i) for i in range(20))),
        ([float(i) for i in range(21)], ()),
        ([1000.0 + i for i in range(21)], ()),
    ],
)
def test_few_whole_numbers_are_classes(spark, values, classes):
    rows = [(float(i), values[i % len(values)]) for i in range(100)]
    assert job_of(spark.createDataFrame(rows, "a double, y double")).train_profile.classes == (
        classes
    )


def test_source_is_evaluated_twice(spark, tmp_path):
    evaluated = spark.sparkContext.accumulator(0)

    def count(value):
        evaluated.add(1)
        return value

    counted = F.udf(count, T.DoubleType()).asNondeterministic()
    for name, target in (("classes", "y"), ("number", "z")):
        evaluated.value = 0
        frame = frame_of(spark, 500).withColumn("z", F.col("a")).withColumn("a", counted("a"))
        # Materialised first, so that only our own evaluations are counted.
        stage_to(tmp_path / name, frame, target=target, num_batches=5)
        assert evaluated.value <= 2 * 500, name


def test_files_do_not_multiply_with_partitions(spark, tmp_path):
    frame = frame_of(spark, 2_000, partitions=97)
    _, manifest = stage_to(tmp_path / "s", frame, num_batches=5)
    assert [len(part.files) for part in manifest.batches] == [1] * 5


def test_nor_do_they_where_rows_are_laid_out(spark, tmp_path, small_sample):
    frame = frame_of(spark, 6_000, n_classes=2, partitions=97)
    _, manifest = stage_to(tmp_path / "s", frame, num_batches=5)
    # One of laid rows, and one of ranked ones.
    assert [len(part.files) for part in manifest.batches] == [2] * 5


def test_no_task_holds_a_whole_class(spark, tmp_path, monkeypatch):
    # With partitions of 4 kB in place of 16 MiB, so that few rows fill many.
    monkeypatch.setattr(
        "batchtrainingbooster.data.writing.num_partitions",
        lambda rows, *more: num_partitions(4096 * rows, *more),
    )
    frame = frame_of(spark, 2_000, n_classes=2)
    source, manifest = stage_to(tmp_path / "s", frame, num_batches=2)
    totals = manifest.class_counts
    for part in manifest.batches:
        assert len(part.files) >= 16
    largest = Counter()
    for part in manifest.batches:
        for file in part.files:
            task = file.name.split("/")[-1][:10]
            for label in pq.read_table(tmp_path / "s" / file.name)["label"].to_pylist():
                largest[task, label] += 1
    for (_, label), n in largest.items():
        assert n < totals[int(label)] / 4
    # and the batches are the same as with one partition
    monkeypatch.undo()
    whole, other = stage_to(tmp_path / "t", frame, num_batches=2)
    assert [len(part.files) for part in other.batches] == [1, 1]
    for number in range(2):
        counts = [
            np.unique(s.batch(number).label, return_counts=True)[1].tolist()
            for s in (source, whole)
        ]
        assert counts[0] == counts[1]


def test_cells_are_those_of_spark(spark):
    ends = "explode(array(0L, 1L, -1L, 9223372036854775807L, -9223372036854775808L))"
    rows = spark.range(2_000).selectExpr("xxhash64(id) AS h").union(spark.sql(f"SELECT {ends} h"))
    found = rows.select("h", cell_of(F.col("h")).alias("cell")).toPandas()
    np.testing.assert_array_equal(cells_of(found["h"].to_numpy()), found["cell"])


@pytest.fixture(params=["in memory", "by Spark"])
def ranked(request, monkeypatch):
    """Where rows that no cell places are ranked."""
    if request.param == "by Spark":
        monkeypatch.setattr("batchtrainingbooster.data.writing.MAX_BYTES", 0)


@pytest.fixture
def small_sample(monkeypatch):
    """So that few rows are enough to be laid out, and not all dealt."""
    monkeypatch.setattr("batchtrainingbooster.core.batching._REFERENCE_ROWS", 100)
    monkeypatch.setattr("batchtrainingbooster.core.batching._REFERENCE_BYTES", 1)


def assigned(job, path, num_batches, fraction):
    """Batch by row hash, as it lies on storage and by the definition."""
    manifest = stage(job, place_rows(job), Folder(str(path)))
    counts, source = job.train_profile.counts, job.train
    strata = plan_strata(counts.sum(axis=1).tolist(), num_batches, fraction)
    sizes = [part.rows for part in manifest.batches]
    rows = reference_rows(manifest.schema.n_columns, sizes)
    share = rows / sum(sizes) if num_batches > 1 else 0
    plan = plan_cells(counts, strata, num_batches, share)
    h = F.expr(source.row_hash)
    rows = source.frame.select(F.expr(source.label).alias("y"), h.alias("h"), cell_of(h).alias("c"))
    rows = sorted((row.y, row.c, row.h) for row in rows.collect())
    expected = {}
    for i, label in enumerate(job.train_profile.classes):
        own = [(cell, h) for y, cell, h in rows if y == label]
        dealt = [h for cell, h in own if plan.is_dealt[i, cell]]
        laid = [h for cell, h in own if not plan.is_dealt[i, cell]]
        batches = deal(np.arange(len(dealt)), plan.dealt[i], num_batches)
        expected.update(zip(dealt, batches.tolist(), strict=True))
        batches, _, _ = lay(np.arange(len(laid)), plan.laid[i], num_batches)
        expected.update(zip(laid, batches.tolist(), strict=True))
    parts = {**dict(enumerate(manifest.batches)), -1: manifest.validation}
    found = {
        h: number
        for number, part in parts.items()
        for file in (part.files if part else ())
        for h in pq.read_table(path / file.name, columns=["row_hash"])["row_hash"].to_pylist()
    }
    return found, expected, plan, Counter(h for _, _, h in rows)


def test_spark_deals_as_numpy_does(spark, tmp_path):
    job = job_of(frame_of(spark, 600), num_batches=4, validation_fraction=0.2)
    found, expected, plan, _ = assigned(job, tmp_path / "s", 4, 0.2)
    assert plan.is_dealt.all()
    assert found == expected


@pytest.mark.parametrize(("num_batches", "fraction"), [(3, 0.2), (4, None), (1, 0.5), (1, None)])
def test_spark_lays_as_numpy_does(spark, tmp_path, small_sample, ranked, num_batches, fraction):
    frame = frame_of(spark, 8_000, n_classes=2)
    # One row many times: its cell stands out, and is dealt.
    frame = frame.union(frame.limit(1).crossJoin(spark.range(300)).drop("id")).cache()
    job = job_of(frame, num_batches=num_batches, validation_fraction=fraction)
    found, expected, plan, times = assigned(job, tmp_path / "s", num_batches, fraction)
    assert plan.is_dealt.sum() == 1
    assert 0 < (plan.place == UNDECIDED).mean() < 0.2
    once = {h for h, n in times.items() if n == 1}
    assert len(times) - len(once) == 1
    assert {h: found[h] for h in once} == {h: expected[h] for h in once}


def test_held_out_rows_are_stratified_and_in_no_batch(spark, tmp_path):
    frame = frame_of(spark, 1_000)
    source, manifest = stage_to(tmp_path / "s", frame, num_batches=3, validation_fraction=0.25)
    totals = np.array(manifest.class_counts) + np.array(manifest.validation.strata)
    np.testing.assert_array_equal(manifest.validation.strata, np.round(totals * 0.25))
    assert len(source.validation().label) + sum(p.rows for p in manifest.batches) == 1_000


def test_rank_shifts_make_ranks_of_positions():
    rng = np.random.default_rng(0)
    counts = rng.poisson(20, (3, N_CELLS))
    counts[1, 7] = 500
    strata = plan_strata(counts.sum(axis=1).tolist(), 5, 0.1)
    plan = plan_cells(counts, strata, 5, sample_share=0.05)
    partitions = 8
    shifts = rank_shifts(counts, plan, partitions)
    found = {}
    for p in range(partitions):
        position = 0
        for stratum in range(3):
            for cell in range(p, N_CELLS, partitions):
                if plan.place[stratum, cell] == UNDECIDED:
                    found[stratum, cell] = position + shifts[stratum, cell]
                    position += counts[stratum, cell]
    for (stratum, cell), rank in found.items():
        own = plan.is_dealt[stratum] == plan.is_dealt[stratum, cell]
        assert rank == counts[stratum, :cell][own[:cell]].sum()
    assert len(found) > 100


def test_categories_have_one_code_everywhere(spark, tmp_path):
    frame = frame_of(spark, 300)
    source, manifest = stage_to(tmp_path / "s", frame, num_batches=3, validation_fraction=0.2)
    dictionary = manifest.schema.features[2].categories
    assert dictionary == ("blue", "green", "red")
    names = {}
    for row in frame.collect():
        names.setdefault((np.float32(row.a), np.float32(row.b)), row.c)
    for batch in [*(source.batch(i) for i in range(3)), source.validation()]:
        for a, b, code in batch.features.tolist():
            assert dictionary[int(code)] == names[np.float32(a), np.float32(b)]


def test_vectors_and_arrays_are_features(spark, tmp_path):
    vectors = [
        Vectors.dense([i, 2.0 * i]) if i % 2 else Vectors.sparse(2, {1: 2.0 * i}) for i in range(20)
    ]
    rows = [(vectors[i], [1.0, None, float(i)], "xy"[i % 2]) for i in range(20)]
    schema = T.StructType(
        [
            T.StructField("v", VectorUDT()),
            T.StructField("w", T.ArrayType(T.DoubleType())),
            T.StructField("y", T.StringType()),
        ]
    )
    source, manifest = stage_to(tmp_path / "s", spark.createDataFrame(rows, schema), num_batches=2)
    assert manifest.schema.column_names == ("v_0", "v_1", "w_0", "w_1", "w_2")
    found = np.concatenate([source.batch(i).features for i in range(2)])
    found = found[np.argsort(found[:, 4])]
    expected = [[i if i % 2 else 0, 2 * i, 1, np.nan, i] for i in range(20)]
    np.testing.assert_array_equal(found, expected)


def test_missing_values_stay_missing(spark, tmp_path):
    rows = [(None, None, "x"), (float("nan"), "a", "y"), (1.0, "b", "x"), (2.0, "a", "y")]
    source, _ = stage_to(
        tmp_path / "s", spark.createDataFrame(rows, "a double, b string, y string"), num_batches=1
    )
    features = source.batch(0).features
    features = features[np.lexsort((features[:, 1], features[:, 0]))]
    np.testing.assert_array_equal(features, [[1, 1], [2, 0], [np.nan, 0], [np.nan, np.nan]])


def test_same_rows_are_not_staged_twice(spark, tmp_path):
    frame = frame_of(spark, 100)
    _, manifest = stage_to(tmp_path / "s", frame, num_batches=2)
    before = {file.name: (tmp_path / "s" / file.name).stat().st_mtime_ns for file in manifest.files}
    _, again = stage_to(tmp_path / "s", frame.repartition(3), num_batches=2)
    assert again == manifest
    assert before == {f: (tmp_path / "s" / f).stat().st_mtime_ns for f in before}
    with pytest.raises(StagingError, match=r"\(num_batches: 2 then, 3 now\)"):
        stage_to(tmp_path / "s", frame, num_batches=3)


def test_foreign_folders_are_left_alone(spark, tmp_path):
    (tmp_path / "precious.txt").write_text("mine")
    with pytest.raises(StagingError, match=r"not empty and not ours \(it has precious.txt\)"):
        stage_to(tmp_path, frame_of(spark, 50), num_batches=2)
    assert (tmp_path / "precious.txt").read_text() == "mine"


def test_unfinished_staging_is_not_taken_for_whole(spark, tmp_path):
    frame = frame_of(spark, 60)
    _, manifest = stage_to(tmp_path / "s", frame, num_batches=2)
    (tmp_path / "s" / "UNFINISHED").touch()
    with pytest.raises(StagingError, match="staging never finished"):
        read_manifest(Folder(str(tmp_path / "s")))
    _, again = stage_to(tmp_path / "s", frame, num_batches=2)
    assert again.batches[0].checksum == manifest.batches[0].checksum
    assert {path.name for path in (tmp_path / "s").iterdir()} == {
        "manifest.json", again.data_folder,
    }  # fmt: skip
    assert again.data_folder != manifest.data_folder


def test_batches_of_others_go_where_they_may(spark, tmp_path):
    frame, folder = frame_of(spark, 60), Folder(str(tmp_path / "s"))
    stage_to(tmp_path / "s", frame, num_batches=2)
    job = job_of(frame, num_batches=3)
    manifest = stage(job, place_rows(job), folder, replace=True)
    assert len(manifest.batches) == 3
    assert {path.name for path in (tmp_path / "s").iterdir()} == {
        "manifest.json", manifest.data_folder,
    }  # fmt: skip


def test_batches_that_were_deleted_by_half_are_staged_anew(spark, tmp_path, monkeypatch):
    frame, folder = frame_of(spark, 60), Folder(str(tmp_path / "s"))
    _, manifest = stage_to(tmp_path / "s", frame, num_batches=2)

    def killed(self, name):
        (tmp_path / "s" / manifest.files[0].name).unlink()
        raise KeyboardInterrupt

    monkeypatch.setattr(Folder, "delete_folder", killed)
    with pytest.raises(KeyboardInterrupt):
        unstage(folder)
    monkeypatch.undo()
    _, again = stage_to(tmp_path / "s", frame, num_batches=2)
    assert again.batches[0].checksum == manifest.batches[0].checksum
    unstage(folder)
    assert not (tmp_path / "s").exists()
    unstage(folder)


def test_who_was_taken_for_dead_while_staging_leaves_the_folder_to_the_other(
    spark, tmp_path, monkeypatch
):
    job = job_of(frame_of(spark, 60), num_batches=2)
    write = staging._write

    def taken_over(job, folder, placement, data_folder):
        lock = json.loads((tmp_path / "s" / "lock.json").read_text())
        lock |= {"token": "another", "machine": "elsewhere"}
        (tmp_path / "s" / "lock.json").write_text(json.dumps(lock))
        return write(job, folder, placement, data_folder)

    monkeypatch.setattr(staging, "_write", taken_over)
    with pytest.raises(StagingError, match="was taken over by process"):
        stage(job, place_rows(job), Folder(str(tmp_path / "s")))
    assert not (tmp_path / "s" / "manifest.json").exists()
    assert (tmp_path / "s" / "UNFINISHED").exists()


def test_a_source_that_changes_between_readings_is_found_out(spark, tmp_path):
    path = str(tmp_path / "source")
    frame_of(spark, 100).write.parquet(path)
    frame = spark.read.parquet(path)
    job = job_of(frame, num_batches=2)
    frame_of(spark, 30, seed=9).write.mode("append").parquet(path)
    grown = spark.read.parquet(path)
    object.__setattr__(job, "train", Source(grown, job.columns, job.config.seed))
    with pytest.raises(StagingError, match="gives other rows each time"):
        stage(job, place_rows(job), Folder(str(tmp_path / "s")))
    assert not (tmp_path / "s" / "manifest.json").exists()


def test_manifest_says_what_is_there(spark, tmp_path):
    stage_to(tmp_path / "s", frame_of(spark, 100), num_batches=2)
    content = json.loads((tmp_path / "s" / "manifest.json").read_text())["content"]
    assert content["source_rows"] == 100
    assert sum(int(p["checksum"], 16) for p in content["batches"]) % 2**64 == int(
        content["source_checksum"], 16
    )
    assert content["seed"] == 42
    assert content["schema"]["target"]["classes"] == ["class 0", "class 1", "class 2"]
    assert {"pyspark", "pyarrow", "batchtrainingbooster"} <= set(content["versions"])
