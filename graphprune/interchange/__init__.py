"""Score tables and selections for other tools, and as files."""

from typing import TYPE_CHECKING

from graphprune.runtime.lazy import lazy_exports

if TYPE_CHECKING:
    from graphprune.interchange.files import read_scores as read_scores
    from graphprune.interchange.files import read_selection as read_selection
    from graphprune.interchange.files import write_scores as write_scores
    from graphprune.interchange.files import write_selection as write_selection
    from graphprune.interchange.frames import add_scores as add_scores
    from graphprune.interchange.frames import as_dataset as as_dataset
    from graphprune.interchange.frames import as_subset as as_subset
    from graphprune.interchange.frames import from_dataset as from_dataset
    from graphprune.interchange.frames import from_pandas as from_pandas
    from graphprune.interchange.frames import from_polars as from_polars
    from graphprune.interchange.frames import query as query
    from graphprune.interchange.frames import read_ids as read_ids
    from graphprune.interchange.frames import to_pandas as to_pandas
    from graphprune.interchange.frames import to_polars as to_polars
    from graphprune.interchange.frames import write_ids as write_ids

__getattr__, __dir__, __all__ = lazy_exports(__name__)
