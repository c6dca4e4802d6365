"""Character-level sentiment of reviews."""

from charcnn.ratings import Score
from charcnn.scorer import Scorer

__version__ = "0.14.0"
__all__ = ["Score", "Scorer"]
