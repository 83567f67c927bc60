"""A model as a function for Spark SQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import pyarrow as pa
from pyspark.sql import types as T

from batchtrainingbooster.core import links
from batchtrainingbooster.core.table import FeatureKind
from batchtrainingbooster.errors import ConfigError, DataError, MissingDependencyError
from batchtrainingbooster.model.scoring import ShippedModel, label_types, scores, shipped
from batchtrainingbooster.model.tables import is_pandas, refuse_missing_or_ambiguous

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from batchtrainingbooster.model.boosted_model import BoostedModel

_OUTPUTS = ("prediction", "probability")


def register(model: BoostedModel, session: SparkSession, name: str, output: str) -> None:
    """See ``BoostedModel.register``."""
    if output not in _OUTPUTS:
        msg = f"register: output: got {output!r}, need one of {', '.join(_OUTPUTS)}"
        raise ConfigError(msg)
    if output == "probability" and not model.classes:
        msg = f"register: output: the target {model.info.schema.target.name!r} has no classes"
        raise ConfigError(msg)
    try:
        import pandas as pd
        from pyspark.sql.functions import pandas_udf
    except ImportError as error:
        raise MissingDependencyError.of("pandas", "spark", "A function for SQL") from error
    spark_type, arrow_type = label_types(model.info)
    if output == "probability":
        spark_type = T.ArrayType(T.DoubleType())
    score = _Function(model=shipped(model, session), label_type=arrow_type, output=output)

    def score_columns(*columns: Any) -> Any:
        return pd.Series(score(columns))

    # Spark looks at the hints to see what it hands over; an annotation would be text here.
    score_columns.__annotations__ = {"columns": pd.Series, "return": pd.Series}
    session.udf.register(name, pandas_udf(score_columns, spark_type))


@attrs.frozen(eq=False, kw_only=True)
class _Function:
    """What Spark runs on some rows.

    Attributes
    ----------
    model : ShippedModel
    label_type : pyarrow.DataType
    output : {"prediction", "probability"}
    """

    model: ShippedModel
    label_type: pa.DataType
    output: str

    def __call__(self, columns: tuple[Any, ...]) -> list[Any]:
        """Score columns, or a struct of them."""
        margins = self.model.margins(self._table(columns))
        if self.output == "probability":
            return list(links.probabilities(margins, self.model.info.link))
        found = scores(self.model.info, margins, self.label_type)
        return list(found["prediction"].to_pylist())

    def _table(self, columns: tuple[Any, ...]) -> Any:
        import pandas as pd

        features = self.model.info.schema.features
        names = [feature.name for feature in features]
        # A struct comes as a DataFrame, and so does a vector.
        if len(columns) == 1 and is_pandas(columns[0]) and not _is_vector(columns[0]):
            (struct,) = columns
            refuse_missing_or_ambiguous(names, [*map(str, struct.columns)], "scoring a struct")
            columns = tuple(struct[name] for name in names)
        if len(columns) != len(names):
            msg = (
                f"the model takes {len(names)} columns, in this order: {', '.join(names)}; got "
                f"{len(columns)}. struct(*) hands over all columns by name"
            )
            raise DataError(msg)
        read = {
            feature.name: _arrays(column) if feature.kind is FeatureKind.ARRAY else column
            for feature, column in zip(features, columns, strict=True)
        }
        return pd.DataFrame(read)


def _is_vector(column: Any) -> bool:
    return is_pandas(column) and set(column.columns) == {"type", "size", "indices", "values"}


def _arrays(column: Any) -> Any:
    import pandas as pd

    if _is_vector(column):
        column = pd.Series(column.to_dict("records"), index=column.index)
    return column.map(_numbers)


def _numbers(value: Any) -> Any:
    """An array or vector as an array; within a struct, Spark hands over what a vector is made of.

    Examples
    --------
    >>> _numbers({"type": 0, "size": 3, "indices": [1], "values": [5.0]}).tolist()
    [0.0, 5.0, 0.0]
    """
    if hasattr(value, "toArray"):
        return value.toArray()
    parts = value.asDict() if hasattr(value, "asDict") else value
    if not isinstance(parts, dict):
        return value
    if parts["values"] is None:
        return None
    if parts["indices"] is None:
        return np.asarray(parts["values"])
    found = np.zeros(parts["size"])
    found[np.asarray(parts["indices"], np.int64)] = parts["values"]
    return found
