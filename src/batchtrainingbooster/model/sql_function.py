"""A model as a function for Spark SQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import pyarrow as pa
from pyspark.sql import types as T

from batchtrainingbooster.core import links
from batchtrainingbooster.errors import ConfigError, DataError, MissingDependencyError
from batchtrainingbooster.model.scoring import ShippedModel, label_types, shipped
from batchtrainingbooster.model.tables import is_pandas

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
        if not self.model.classes:
            return list(links.expectations(margins, self.model.info.link))
        chances = links.probabilities(margins, self.model.info.link)
        labels = pa.array(self.model.classes).take(pa.array(chances.argmax(axis=1)))
        return list(labels.cast(self.label_type).to_pylist())

    def _table(self, columns: tuple[Any, ...]) -> Any:
        import pandas as pd

        # A struct comes as a DataFrame.
        if len(columns) == 1 and is_pandas(columns[0]):
            return columns[0]
        names = [feature.name for feature in self.model.info.schema.features]
        if len(columns) != len(names):
            msg = (
                f"the model takes {len(names)} columns, in this order: {', '.join(names)}; got "
                f"{len(columns)}. struct(*) hands over all columns by name"
            )
            raise DataError(msg)
        return pd.DataFrame(dict(zip(names, columns, strict=True)))
