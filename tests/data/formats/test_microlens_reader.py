from pathlib import Path

import pytest
from raw_worlds import PAIRS, write_videos
from worlds import table

from fusionlab.data.dataset import DATASETS
from fusionlab.data.formats.microlens import MicroLens
from fusionlab.data.media import Medium
from fusionlab.data.splits.leave_one_out import LeaveOneOut
from fusionlab.errors import FusionlabError


@pytest.fixture
def videos(home):
    return write_videos(home)


def load(**options):
    return MicroLens(path="videos", split=LeaveOneOut(), **options).load()


def train_items(data):
    return data.item_ids[data.interactions.train.items.tolist()].to_list()


def test_videos_bring_titles_covers_and_sound(videos):
    data = load()
    assert data.name == "videos"
    assert data.item_ids.to_list() == ["7", "6", "8", "9"]
    assert {name: column.medium for name, column in data.media.items()} == {
        "title": Medium.TEXT,
        "cover": Medium.IMAGE,
        "audio": Medium.AUDIO,
    }
    covers, audio = Path("videos/covers"), Path("videos/audio")
    assert data.media["title"].entries == ["Cats, dancing", "Rain", None, None]
    assert data.media["cover"].entries == [covers / "7.jpg", None, None, covers / "9.jpg"]
    assert data.media["audio"].entries == [None, audio / "6.mp3", audio / "8.mp3", None]


def test_clicks_are_in_time_order(videos):
    assert train_items(load()) == ["8", "7"]


def test_a_tab_separated_table_is_the_same(videos):
    same = load()
    (videos / "videos_pairs.tsv").write_text("not read where there is a .csv")
    assert load().fingerprint == same.fingerprint
    (videos / "videos_pairs.csv").unlink()
    (videos / "videos_pairs.tsv").write_text(table(PAIRS))
    assert load().fingerprint == same.fingerprint


def test_a_line_may_hold_all_items_of_a_user_in_the_order_of_the_clicks(videos):
    same = load()
    (videos / "videos_pairs.csv").unlink()
    (videos / "videos_pairs.tsv").write_text("u1\t8 9 7\nu2\t7  9 8 \n")
    data = load()
    assert data.fingerprint == same.fingerprint
    assert train_items(data) == ["8", "7"]


def test_titles_covers_and_sound_are_optional(videos):
    (videos / "videos_titles.csv").unlink()
    for name in ("covers", "audio"):
        (videos / name).rename(videos / f"old {name[:3]}")
    data = load(k_core=2)
    assert data.media == {}
    assert data.item_ids.to_list() == ["7", "8", "9"]


def test_other_places_of_titles_covers_and_sound(videos):
    (videos / "media").mkdir()
    (videos / "covers").rename(videos / "media/pictures")
    (videos / "audio").rename(videos / "sound")
    (videos / "videos_titles.csv").rename(videos / "names.csv")
    data = load(titles="names.csv", covers="media/pictures", audio="sound")
    assert list(data.media) == ["title", "cover", "audio"]
    assert data.media["cover"].entries[0] == Path("videos/media/pictures/7.jpg")


def test_a_place_outside_the_folder_is_refused():
    with pytest.raises(FusionlabError, match="covers"):
        DATASETS.parse({"name": "microlens", "path": "videos", "covers": "/covers"})
