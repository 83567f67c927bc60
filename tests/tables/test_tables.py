"""The same rows from any table that Spark reads give the same model, to the last byte."""

from datetime import date
from decimal import Decimal

import numpy as np
import pyarrow.parquet as pq
import pytest
from pyspark.sql import functions as F
from pyspark.sql import types as T

from batchtrainingbooster import XGBoostTrainer

N = 400
SCHEMA = T.StructType(
    [
        T.StructField("id", T.LongType()),
        T.StructField("age", T.IntegerType()),
        T.StructField("income", T.DoubleType()),
        T.StructField("price", T.DecimalType(10, 2)),
        T.StructField("member", T.BooleanType()),
        T.StructField("color", T.StringType()),
        T.StructField("bought", T.DateType()),
        T.StructField("label", T.StringType()),
    ]
)
# No date is a feature.
FEATURES = ["age", "income", "price", "member", "color"]


@pytest.fixture(scope="module")
def rows(spark):
    rng = np.random.default_rng(0)
    table = []
    for i in range(N):
        income, color = float(rng.standard_normal()), str(rng.choice(["red", "green", "blue"]))
        missing = rng.random(3) < 0.05
        table.append((
            i,
            None if missing[0] else int(rng.integers(18, 90)),
            None if missing[1] else income,
            Decimal(int(rng.integers(0, 10**6))).scaleb(-2),
            bool(rng.random() < 0.5),
            None if missing[2] else color,
            date(2026, 1, 1 + i % 28),
            "good" if income + (color == "red") > 0.5 else "poor",
        ))  # fmt: skip
    frame = spark.createDataFrame(table, SCHEMA).cache()
    yield frame
    frame.unpersist()


def fit(frame):
    return XGBoostTrainer().fit(
        frame,
        None,
        "label",
        {"n_estimators": 3, "max_depth": 3},
        {"num_batches": 2, "validation_fraction": 0.2, "feature_columns": FEATURES},
        {"initial_lr": 0.3, "decay_rate": 0.9},
    )


@pytest.fixture(scope="module")
def expected(rows):
    return fit(rows).native


def written(rows, kind, path, partition_by=(), **options):
    """Written, and read with the same types; rows come in another order and other partitions."""
    shuffled = rows.repartition(3, "income")
    shuffled.write.format(kind).options(**options).partitionBy(*partition_by).save(str(path))
    return rows.sparkSession.read.format(kind).schema(SCHEMA).options(**options).load(str(path))


@pytest.mark.parametrize("kind", ["csv", "json", "orc", "parquet"])
def test_files_of_any_format(kind, rows, expected, tmp_path):
    options = {"header": "true"} if kind == "csv" else {}
    assert fit(written(rows, kind, tmp_path / "table", **options)).native == expected


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_partition_column_is_a_feature_as_any_other(kind, rows, expected, tmp_path):
    frame = written(rows, kind, tmp_path / "table", ["color", "member"])
    assert list((tmp_path / "table").glob("color=red/member=true/*"))
    assert fit(frame).native == expected


def test_a_table_of_the_catalog_a_view_and_a_query(spark, rows, expected, tmp_path):
    place = f"{tmp_path}/table"
    rows.write.option("path", place).partitionBy("member").saveAsTable("btb_rows")
    try:
        spark.table("btb_rows").createOrReplaceTempView("btb_view")
        assert fit(spark.table("btb_rows")).native == expected
        query = spark.sql("SELECT * FROM btb_view WHERE id >= 0 ORDER BY price")
        assert fit(query).native == expected
    finally:
        spark.sql("DROP VIEW IF EXISTS btb_view")
        spark.sql("DROP TABLE btb_rows")


def test_char_and_varchar_are_text(spark, rows, expected, tmp_path):
    columns = ", ".join(f"{field.name} {field.dataType.simpleString()}" for field in SCHEMA)
    columns = columns.replace("color string", "color VARCHAR(10)")
    columns = columns.replace("label string", "label CHAR(4)")
    spark.sql(f"CREATE TABLE btb_chars ({columns}) USING parquet LOCATION '{tmp_path}/chars'")
    try:
        rows.write.insertInto("btb_chars")
        assert fit(spark.table("btb_chars")).native == expected
    finally:
        spark.sql("DROP TABLE btb_chars")


def test_hidden_columns_are_no_features_unless_they_are_selected(spark, rows, tmp_path):
    frame = written(rows, "parquet", tmp_path / "table")
    plain = XGBoostTrainer().fit(
        frame.drop("id", "bought"), None, "label", {"n_estimators": 1}, {"num_batches": 2}
    )
    assert [f.name for f in plain.info.schema.features] == FEATURES
    size = F.col("_metadata.file_size").alias("size")
    selected = frame.select(*FEATURES, "label", size)
    model = XGBoostTrainer().fit(selected, None, "label", {"n_estimators": 1}, {"num_batches": 2})
    assert [f.name for f in model.info.schema.features] == [*FEATURES, "size"]
    assert model.transform(selected).count() == N


def test_a_database_is_read_in_parts_and_written_to(spark, rows, expected, tmp_path):
    # Else it writes its log where the tests are started.
    spark._jvm.System.setProperty("derby.stream.error.file", f"{tmp_path}/derby.log")
    database = {
        "url": f"jdbc:derby:{tmp_path}/shop;create=true",
        "driver": "org.apache.derby.iapi.jdbc.AutoloadedDriver",
    }
    rows.write.format("jdbc").options(**database, dbtable="people").save()
    parts = {"partitionColumn": "id", "lowerBound": 0, "upperBound": N, "numPartitions": 4}
    frame = spark.read.format("jdbc").options(**database, dbtable="people", **parts).load()
    assert frame.rdd.getNumPartitions() == 4
    model = fit(frame)
    assert model.native == expected
    scored = model.transform(frame).select("id", "prediction")
    scored.write.format("jdbc").options(**database, dbtable="scores").save()
    read = spark.read.format("jdbc").options(**database, dbtable="scores").load()
    assert {row[0] for row in read.select("prediction").collect()} == {"good", "poor"}
    assert read.count() == N


def test_staged_files_are_plain_parquet_whatever_the_source(rows, tmp_path):
    frame = written(rows, "orc", tmp_path / "table", ["color"])
    XGBoostTrainer().fit(
        frame, None, "label", {"n_estimators": 2},
        {"num_batches": 2, "feature_columns": FEATURES, "staging_dir": str(tmp_path / "staged")},
    )  # fmt: skip
    (data,) = (tmp_path / "staged").glob("data-*")
    assert sum(pq.read_metadata(file).num_rows for file in data.rglob("*.parquet")) == N
