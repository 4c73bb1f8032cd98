"""MovieLens with what its films are: titles, plots and posters."""

from __future__ import annotations

from fusionlab.data.assemble import CoreSize, Found, assemble
from fusionlab.data.clicks import read_clicks, union
from fusionlab.data.dataset import DATASETS, Dataset, DatasetFormat
from fusionlab.data.formats.recbole import read_atomic
from fusionlab.data.media import Medium
from fusionlab.data.media_columns import aligned, files_by_stem, files_of, texts
from fusionlab.data.privacy import OPEN, PrivacyOptions
from fusionlab.data.splits import Split
from fusionlab.data.table_files import existing_folder, only_file, read_jsonl

ITEM = "movie_id"
TEXTS = ("title", "plot")


@DATASETS.register("movielens")
class MovieLens(DatasetFormat):
    """A folder of MovieLens (Harper and Konstan, 2015) clicks, joined with titles, plots, posters.

    One RecBole atomic file ``*.inter`` with user_id, item_id, rating and timestamp; ``items.jsonl``
    with an object a film, its keys ``movie_id``, ``title``, ``plot`` and others, which serve only a
    split that asks for them; ``posters/ID.jpg`` (or .png, ...). The catalogue is every film of
    ``items.jsonl`` and ``.inter``. Raw media: the texts ``title`` and ``plot``, the image
    ``poster``; a film lacks what is null, blank or not there.

    Options:
        path: the folder
        split: which click is train, validation or test; default: ratio
        min_rating: implicit feedback: keep only clicks rated at least this
        k_core: keep only users and items with at least this many clicks; 0 keeps all
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
        privacy: PrivacyOptions = OPEN,
        context: tuple[str, ...] = (),
    ) -> None:
        self.privacy = privacy
        self.path, self.split, self.min_rating, self.k_core = path, split, min_rating, k_core
        self.context = context

    def load(self) -> Dataset:
        """Read the clicks and the films, find the posters, check, split."""
        folder = existing_folder(self.path)
        file = only_file(folder, ["*.inter"])
        films = read_jsonl(only_file(folder, ["items.jsonl"]))
        table = self.privacy.people(read_atomic(file)[0], "user_id")
        clicks = read_clicks(
            table,
            user="user_id",
            item="item_id",
            time="timestamp",
            rating=None if self.min_rating is None else "rating",
        )
        ids = films.distinct_ids(ITEM)
        catalogue = union(ids, clicks["item"])
        media = {name: texts(aligned(films.texts(name), ids, catalogue)) for name in TEXTS}
        posters = files_by_stem(folder / "posters", Medium.IMAGE)
        found = Found(
            name=file.stem,
            table=table,
            item_column="item_id",
            clicks=clicks,
            catalogue=catalogue,
            features={},
            item_facts=films.frame.with_columns(ids.alias("item")),
            media={**media, "poster": files_of(catalogue, posters, Medium.IMAGE)},
            pseudonyms=self.privacy.pseudonyms(),
        )
        return assemble(
            found,
            self.split,
            min_rating=self.min_rating,
            k_core=self.k_core,
            context=self.context,
        )
