import os
from pathlib import Path

import pytest
from raw_worlds import RATED, write_movies
from worlds import table

from fusionlab.data.formats.movielens import MovieLens
from fusionlab.data.media import Medium
from fusionlab.data.splits.group import Group
from fusionlab.data.splits.leave_one_out import LeaveOneOut


@pytest.fixture
def movies(home):
    return write_movies(home)


def load(split=None, **options):
    return MovieLens(path="movies", split=split or LeaveOneOut(), **options).load()


def test_films_bring_titles_plots_and_posters_in_the_order_of_the_catalogue(movies):
    data = load()
    assert data.name == "movies"
    assert data.item_ids.to_list() == ["1", "3", "2", "4"]
    assert {name: column.medium for name, column in data.media.items()} == {
        "title": Medium.TEXT,
        "plot": Medium.TEXT,
        "poster": Medium.IMAGE,
    }
    assert data.media["title"].entries == ["Alien", "Dune", "Brazil", None]
    assert data.media["plot"].entries == ["In space.", None, None, None]
    posters = Path("movies/posters")
    assert data.media["poster"].entries == [posters / "1.jpg", None, posters / "2.PNG", None]
    assert data.features is None


def test_media_follow_the_items_that_the_core_keeps(movies):
    (movies / "movies.inter").write_text(table([*RATED, ("u2", "3", 5, 40)]))
    data = load(k_core=2)
    assert data.item_ids.to_list() == ["1", "2", "4"]
    assert data.media["title"].entries == ["Alien", "Brazil", None]
    posters = Path("movies/posters")
    assert data.media["poster"].entries == [posters / "1.jpg", posters / "2.PNG", None]


def test_ratings_below_the_threshold_are_no_clicks(movies):
    assert load(min_rating=2).notes["clicks_below_min_rating"] == 1


def test_no_medium_changes_the_fingerprint(movies):
    same = load().fingerprint
    (movies / "posters/1.jpg").unlink()
    assert load().fingerprint == same


def test_a_split_may_group_by_what_is_known_of_films(movies):
    rows = [RATED[0], ("u1", "1", 5, 1), ("u1", "2", 5, 1), ("u1", "5", 5, 1)]
    (movies / "movies.inter").write_text(table(rows))
    with (movies / "items.jsonl").open("a") as file:
        file.write('{"movie_id": 5, "title": "Big", "plot": null, "genre": "Fantasy"}\n')
    data = load(split=Group(column="genre", valid=0.3, test=0.3))
    assert (len(data.interactions.train), len(data.interactions.valid)) == (1, 1)


def test_the_published_set():
    shared = os.environ.get("FUSIONLAB_SHARED")
    if shared is None:
        pytest.skip("FUSIONLAB_SHARED names no folder with data/movielens-100k")
    data = MovieLens(path=f"{shared}/data/movielens-100k").load()
    counts = {
        name: sum(entry is not None for entry in column.entries)
        for name, column in data.media.items()
    }
    assert len(data.item_ids) == 1_682
    assert counts == {"title": 1_682, "plot": 1_671, "poster": 1_445}
    assert data.media["title"].entries[data.item_ids.to_list().index("50")] == "Star Wars (1977)"
