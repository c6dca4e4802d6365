"""Character-level sentiment of reviews."""

from charcnn.labels import Score
from charcnn.scorer import Scorer

__version__ = "0.14.0"
__all__ = ["Score", "Scorer"]
