"""MMRec's layout: one ``.inter`` file and a ``.npy`` file a modality."""

from __future__ import annotations

import polars as pl

from fusionlab.data.arrays import FeatureRows, read_features
from fusionlab.data.assemble import SPLIT_CODES, CoreSize, Found, assemble
from fusionlab.data.dataset import DATASETS, Dataset, DatasetFormat
from fusionlab.data.privacy import OPEN, PrivacyOptions
from fusionlab.data.splits import Split
from fusionlab.data.table_files import existing_folder, only_file, read_delimited
from fusionlab.data.tables import Table
from fusionlab.errors import FusionlabError

USER, ITEM, RATING, TIME, PART = "userID", "itemID", "rating", "timestamp", "x_label"
ENDING = "_feat.npy"
X_LABELS = {label: SPLIT_CODES[label] for label in ("0", "1", "2")}
CURE = "to call a row missing, fill it with zeros and set zero_rows_are_missing: true"


@DATASETS.register("mmrec")
class MMRec(DatasetFormat):
    """A folder as MMRec (Zhou, 2023) publishes its datasets.

    One ``*.inter`` file, tab-separated, with the header ``userID itemID [rating] [timestamp]
    [x_label]``, and any number of ``NAME_feat.npy`` files, each the modality NAME: (items, width)
    or (items, tokens, width). Ids are whole numbers; item i owns feature row i. The catalogue has
    an item for each feature row, or, without features, one for each item id that occurs.

    Options:
        path: the folder
        split: which click is train, validation or test; default: given, by x_label, else ratio
        min_rating: keep only clicks rated at least this
        k_core: keep only users and items with at least this many clicks; 0 keeps all
        zero_rows_are_missing: a feature row of zeros means that the item lacks the modality
        privacy: hash_key, users under hashes; without_users, a file of users to read without
        context: columns of the clicks whose values are the situation of each (docs/your-data.md)
    """

    def __init__(
        self,
        *,
        path: str,
        split: Split | None = None,
        min_rating: float | None = None,
        k_core: CoreSize = 0,
        zero_rows_are_missing: bool = False,
        privacy: PrivacyOptions = OPEN,
        context: tuple[str, ...] = (),
    ) -> None:
        self.privacy = privacy
        self.path, self.split, self.min_rating, self.k_core = path, split, min_rating, k_core
        self.context = context
        self.zero_rows_are_missing = zero_rows_are_missing

    def load(self) -> Dataset:
        """Read the clicks, map the features, check both, split."""
        folder = existing_folder(self.path)
        table = read_delimited(only_file(folder, ["*.inter"]), "\t", quoted=False)
        table = self.privacy.people(table, USER)
        features = {
            file.name.removesuffix(ENDING): read_features(
                file, cure=CURE, zero_rows_are_missing=self.zero_rows_are_missing
            )
            for file in sorted(folder.glob("*" + ENDING))
        }
        clicks = _clicks(
            table,
            hashed=self.privacy.hash_key is not None,
            with_rating=self.min_rating is not None,
        )
        found = Found(
            name=table.file.stem,
            table=table,
            item_column=ITEM,
            clicks=clicks,
            catalogue=_catalogue(clicks["item"], features),
            features=features,
            pseudonyms=self.privacy.pseudonyms(),
        )
        return assemble(
            found,
            self.split,
            min_rating=self.min_rating,
            k_core=self.k_core,
            context=self.context,
        )


def _clicks(table: Table, *, hashed: bool, with_rating: bool) -> pl.DataFrame:
    table.require(USER)
    table.require(ITEM)
    users = table.ids(USER) if hashed else table.whole(USER)
    columns = {"user": users, "item": table.whole(ITEM)}
    if TIME in table:
        columns["time"] = table.numbers(TIME)
    if with_rating and RATING in table:
        columns["rating"] = table.numbers(RATING)
    if PART in table:
        columns["split"] = table.coded(PART, X_LABELS)
    return pl.DataFrame(columns)


def _catalogue(clicked: pl.Series, features: dict[str, FeatureRows]) -> pl.Series:
    """An item a feature row; MMRec itself counts to the greatest id, which drops cold items."""
    if not features:
        return clicked.unique().sort()
    first, *others = features.values()
    for other in others:
        if len(other) != len(first):
            raise FusionlabError(
                f"{other.file}: found {len(other)} feature rows, expected {len(first)} as in "
                f"{first.file.name}: item i owns row i of both"
            )
    return pl.int_range(len(first), dtype=pl.Int64, eager=True)
