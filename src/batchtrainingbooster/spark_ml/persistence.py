"""Estimators and models in Spark ML's form, on any storage that Spark can write to.

::

    path/
        metadata/    as Spark ML writes it: class, Params, number of classes
        files/       Parquet: the files of BoostedModel.save in pieces, for models
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyspark
from pyspark.errors import PySparkException
from pyspark.ml.util import DefaultParamsReader, DefaultParamsWriter

from batchtrainingbooster.core.redaction import without_secrets
from batchtrainingbooster.data.sessions import is_connect
from batchtrainingbooster.data.spark_errors import deepest_cause
from batchtrainingbooster.errors import ConfigError, ModelFormatError
from batchtrainingbooster.model.boosted_model import BoostedModel

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

FILES = "files"
PIECE_BYTES = 4 * 2**20
_SCHEMA = "name string, part int, content binary"


class Writer(DefaultParamsWriter):
    """Writes an estimator."""

    def _handleOverwrite(self, path: str) -> None:
        if not is_connect(self.sparkSession):
            super()._handleOverwrite(path)
            return
        # A client of Spark Connect; Spark 3.5 has no such function, and no such client of ML.
        from pyspark.ml.util import _remove_dfs_dir

        _remove_dfs_dir(path, self.sparkSession)

    def saveImpl(self, path: str) -> None:
        """Write it.

        Raises
        ------
        ConfigError
            If a Param holds what cannot be saved.
        ModelFormatError
            If something is there already.
        """
        _refuse_objects(self.instance)
        with _failures(path, "cannot be written"):
            super().saveImpl(path)


class ModelWriter(Writer):
    """Writes a model."""

    def saveImpl(self, path: str) -> None:
        """Write it; the metadata last, so that half a model is never taken for a whole one."""
        model, spark = self.instance, self.sparkSession
        with _failures(path, "cannot be written"):
            files = spark.createDataFrame(list(_pieces(model.model)), _SCHEMA)
            files.write.parquet(f"{path.rstrip('/')}/{FILES}")
            extra = {"numClasses": model.numClasses} if hasattr(model, "numClasses") else {}
            DefaultParamsWriter.saveMetadata(model, path, _context(spark), extra)


class ModelReader(DefaultParamsReader):
    """Reads a model.

    Parameters
    ----------
    cls : type
        Of the model.
    """

    def load(self, path: str) -> Any:
        """Read it.

        Raises
        ------
        ModelFormatError
            If there is no model of this class, or a damaged one.
        """
        with _failures(path, "cannot be read as a saved model"):
            metadata = DefaultParamsReader.loadMetadata(path, _context(self.sparkSession))
            found = metadata["class"]
            if found.rpartition(".")[2] != self.cls.__name__:
                msg = f"{without_secrets(path)} holds a {found}, and no {self.cls.__name__}"
                raise ModelFormatError(msg)
            model = _read(self.sparkSession, f"{path.rstrip('/')}/{FILES}", path)
        instance = self.cls(model, *(metadata[key] for key in ("numClasses",) if key in metadata))
        instance._resetUid(metadata["uid"])  # noqa: SLF001 - as Spark's own readers do
        DefaultParamsReader.getAndSetParams(instance, metadata)
        return instance


def _context(spark: SparkSession) -> Any:
    """What Spark's own writers ask for: before Spark 4, a context."""
    return spark if int(pyspark.__version__.partition(".")[0]) >= 4 else spark.sparkContext


def _pieces(model: BoostedModel) -> Iterator[tuple[str, int, bytearray]]:
    with tempfile.TemporaryDirectory(prefix="batchtrainingbooster-") as parent:
        folder = Path(parent, "model")
        model.save(folder)
        for file in sorted(folder.iterdir()):
            content = file.read_bytes()
            for part, start in enumerate(range(0, max(len(content), 1), PIECE_BYTES)):
                yield file.name, part, bytearray(content[start : start + PIECE_BYTES])


def _read(spark: SparkSession, files: str, path: str) -> BoostedModel:
    """The model; that the pieces are all there, and in order, is found out by their checksums."""
    with tempfile.TemporaryDirectory(prefix="batchtrainingbooster-") as folder:
        for name, _, content in spark.read.parquet(files).orderBy("name", "part").toLocalIterator():
            if name != Path(name).name:
                msg = f"{without_secrets(path)} is no saved model: it has a file {name!r}"
                raise ModelFormatError(msg)
            with Path(folder, name).open("ab") as file:
                file.write(content)
        return BoostedModel.load(folder)


def _refuse_objects(instance: Any) -> None:
    for param, value in instance._paramMap.items():  # noqa: SLF001 - as Spark's own writers do
        try:
            json.dumps(value)
        except (TypeError, ValueError) as error:
            msg = (
                f"{type(instance).__name__}: {param.name} holds an object, which cannot be saved "
                f"({error}); name it by a text, or save the fitted model alone"
            )
            raise ConfigError(msg) from error


@contextmanager
def _failures(path: str, what: str) -> Iterator[None]:
    try:
        yield
    except PySparkException as error:
        text = without_secrets(str(error))
        advice = ""
        if "ALREADY_EXISTS" in text:
            advice = "; write().overwrite().save() replaces what is there"
        msg = f"{without_secrets(path)} {what}: {deepest_cause(text)}{advice}"
        raise ModelFormatError(msg) from error
