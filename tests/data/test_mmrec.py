import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from worlds import CLIPS, array, table

from fusionlab.data.formats.mmrec import MMRec
from fusionlab.data.splits.leave_one_out import LeaveOneOut
from fusionlab.seal import Openings


def rows(clicks):
    return list(zip(clicks.users.tolist(), clicks.items.tolist(), strict=True))


def test_clicks_follow_x_label(clips):
    data = MMRec(path="clips").load()
    assert data.name == "clips"
    assert data.item_ids.to_list() == [0, 1, 2, 3, 4]
    clicks = data.interactions
    assert clicks.user_ids.to_list() == [0, 7]
    assert rows(clicks.train) == [(0, 0), (1, 1), (1, 3)]
    assert rows(clicks.valid) == [(0, 1)]
    assert rows(clicks.test.open(Openings(), "a test")) == [(0, 2)]
    assert data.notes == {"pairs_in_several_splits": 0, "duplicates_removed": 0}


def test_features_are_the_arrays_of_whatever_name_pooled_or_tokens(clips):
    np.save("clips/body_pose_feat.npy", array(5, 2, dtype=np.float64))
    features = MMRec(path="clips").load().features
    assert features.modalities == ("body_pose", "image", "text")
    assert [tuple(x.shape) for x in features.values.values()] == [(5, 1, 2), (5, 1, 3), (5, 2, 4)]
    assert [x.dtype for x in features.values.values()] == [
        torch.float64,
        torch.float16,
        torch.float32,
    ]
    assert features.values["text"].equal(torch.from_numpy(array(5, 2, 4)))
    assert features.values["image"][:, 0].equal(torch.from_numpy(array(5, 3, dtype=np.float16)))
    assert all(mask.all() for mask in features.mask.values())


def test_without_features_the_catalogue_is_the_items_that_occur(clips):
    for file in clips.glob("*.npy"):
        file.unlink()
    data = MMRec(path="clips").load()
    assert data.features is None
    assert data.item_ids.to_list() == [0, 1, 2, 3]


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs Linux's list of mappings")
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_stay_on_disk_and_writing_to_them_does_not_reach_the_file(clips, order):
    np.save("clips/image_feat.npy", np.asarray(array(5, 3), order=order))
    before = (clips / "image_feat.npy").read_bytes()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        values = MMRec(path="clips").load().features.values["image"]
    assert mapped_file(values) == str(clips / "image_feat.npy")
    assert values[:, 0].equal(torch.from_numpy(array(5, 3)))
    values[0] = 7
    assert (clips / "image_feat.npy").read_bytes() == before


def mapped_file(values):
    """The file whose mapping holds the tensor's memory, as Linux tells it."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        start, _, rest = line.partition("-")
        if int(start, 16) <= values.data_ptr() < int(rest.split()[0], 16):
            return line.split()[-1]
    return None


def test_rows_of_zeros_are_missing_only_if_asked(clips):
    zeros = array(5, 2, 4)
    zeros[2] = 0
    zeros[3, 1] = 0
    np.save("clips/text_feat.npy", zeros)
    assert MMRec(path="clips").load().features.mask["text"].all()
    asked = MMRec(path="clips", zero_rows_are_missing=True).load().features
    assert asked.mask["text"].tolist() == [[True] * 2] * 2 + [
        [False] * 2,
        [True, False],
        [True] * 2,
    ]
    assert asked.present("text").tolist() == [True, True, False, True, True]
    assert asked.present("image").all()


def test_without_x_label_the_split_is_by_ratio(clips):
    rows = [("userID", "itemID")] + [(user, item) for user in (3, 4) for item in range(5)]
    (clips / "clips.inter").write_text(table(rows))
    clicks = MMRec(path="clips").load().interactions
    assert (len(clicks.train), len(clicks.valid)) == (6, 2)


def test_another_split_than_the_published_one(clips):
    late = [(7, 0, 5, 9, 0)]
    (clips / "clips.inter").write_text(table(CLIPS + late))
    clicks = MMRec(path="clips", split=LeaveOneOut()).load().interactions
    assert rows(clicks.train) == [(0, 0), (1, 0)]
    assert rows(clicks.valid) == [(0, 1), (1, 1)]
    assert rows(clicks.test.open(Openings(), "a test")) == [(0, 2), (1, 3)]


def test_line_ends_and_a_byte_order_mark_do_not_matter(clips):
    same = MMRec(path="clips").load()
    text = (clips / "clips.inter").read_text().replace("\n", "\r\n").removesuffix("\r\n")
    (clips / "clips.inter").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert MMRec(path="clips").load().fingerprint == same.fingerprint


def test_unknown_columns_are_ignored(clips):
    same = MMRec(path="clips").load()
    wider = [(*row, extra) for row, extra in zip(CLIPS, ["device", *'ab"c'], strict=False)]
    (clips / "clips.inter").write_text(table([*wider, (*CLIPS[-1], "")]))
    assert MMRec(path="clips").load().fingerprint == same.fingerprint
