"""What every registered recommender is held to."""

import pytest
import torch

from fusionlab.config import Experiment
from fusionlab.data.features import ItemFeatures
from fusionlab.data.interactions import Clicks
from fusionlab.errors import FusionlabError
from fusionlab.fusion.contract import FUSIONS
from fusionlab.recommenders.contract import RECOMMENDERS, Context
from fusionlab.recommenders.step import Batch, ItemViews
from fusionlab.schema import validate
from fusionlab.serving.people import as_clicks
from fusionlab.training.items import catalogue_ranker, catalogue_views
from tests.conftest import random_features

D, USERS, ITEMS = 8, 20, 30


@pytest.fixture(scope="module")
def truth():
    """The truth of a synthetic catalogue of the same size, for those who read it."""
    options = {"name": "synthetic", "users": USERS, "items": ITEMS, "clicks": 6}
    return validate(Experiment, {"dataset": options}).dataset.build().load().truth


@pytest.fixture(params=RECOMMENDERS.names())
def build(request, truth):
    """Builds the recommender from clicks and features, always from the same seed."""

    def built(clicks, features):
        torch.manual_seed(0)
        fusion = FUSIONS.parse("mean_scores").build(features.specs, D)
        context = Context(clicks, D, 0, truth, features)
        return RECOMMENDERS.parse(request.param).build(context, fusion).eval()

    return built


def scores_of(model, features):
    return catalogue_ranker(model, features)(torch.arange(USERS)).clone()


def test_every_user_gets_a_score_for_every_item(build, clicks, features):
    wider = Clicks(clicks.indptr, clicks.items % 25, ITEMS)  # five items that nobody clicked
    for some in (clicks, wider):
        scores = scores_of(build(some, features), features)
        assert scores.shape == (USERS, ITEMS)
        assert scores.isfinite().all()


def test_scores_do_not_depend_on_the_block_nor_on_what_came_before(build, clicks, features):
    ranker = catalogue_ranker(build(clicks, features), features)
    everyone = ranker(torch.arange(USERS)).clone()
    for users in ([3], [1], [0, 1], [7, 2, 7], []):
        rows = torch.tensor(users, dtype=torch.long)
        torch.testing.assert_close(ranker(rows), everyone[rows], atol=1e-5, rtol=1e-5)


def test_the_same_again_has_the_same_bits(build, clicks, features):
    first, second = (scores_of(build(clicks, features), features) for _ in range(2))
    assert torch.equal(first, second)


def test_what_stands_behind_a_mask_changes_no_bit(build, clicks, features):
    other = {
        name: torch.where(features.mask[name][..., None], x, 1e6)
        for name, x in features.values.items()
    }
    changed = ItemFeatures(other, features.mask)
    found = [scores_of(build(clicks, one), one) for one in (features, changed)]
    assert torch.equal(*found)


def test_only_those_who_say_so_look_at_features(build, clicks, features):
    other = random_features(seed=1)
    model = build(clicks, features)
    found = [scores_of(build(clicks, one), one) for one in (features, other)]
    assert torch.equal(*found) != (model.uses_content or model.reads_features)


def test_a_masked_modality_is_one_that_never_was_there(build, clicks, features):
    """In features alone: parameters of a fusion are drawn for the modalities that there are."""
    model = build(clicks, features)
    if not model.reads_features:
        pytest.skip("its features are the fusion's, which is checked for itself")
    masked, without = features.only({"text"}), features.without_columns({"image"})
    views = catalogue_views(model.fusion, masked) if model.uses_content else None
    found = [model.ranker(views, one)(torch.arange(USERS)).clone() for one in (masked, without)]
    torch.testing.assert_close(*found, atol=1e-6, rtol=1e-5)
    assert not torch.allclose(found[0], scores_of(model, features), atol=1e-4)


def test_who_knows_users_by_history_serves_strangers_alike(build, clicks, features):
    """The users of training asked for again, out of order, as people never seen; learned parts are
    shared and stay with the users of training."""
    model = build(clicks, features)
    ranker = catalogue_ranker(model, features)
    before = ranker(torch.arange(USERS)).clone()
    if not model.by_history:
        with pytest.raises(NotImplementedError, match="the users of its training alone"):
            model.of_people(clicks)
        return
    again = [7, 3, 3, 19]
    histories = [clicks.items[clicks.indptr[u] : clicks.indptr[u + 1]].tolist() for u in again]
    people = ranker.of_people(as_clicks([*histories, []], ITEMS), ranker.clicked)
    found = people(torch.arange(5)).clone()
    torch.testing.assert_close(found[:4], before[again], atol=1e-5, rtol=1e-5)
    assert found[4].isfinite().all()
    torch.testing.assert_close(ranker(torch.arange(USERS)), before, atol=0, rtol=0)
    shared = zip(people.recommender.parameters(), model.parameters(), strict=True)
    assert all(one is other for one, other in shared)
    of_nobody = ranker.of_people(as_clicks([[], []], ITEMS), ranker.clicked)
    assert of_nobody(torch.arange(2)).isfinite().all()


def test_it_says_truly_whether_it_trains(build, clicks, features):
    model = build(clicks, features)
    parameters = dict(model.named_parameters())
    assert bool(parameters) == model.trainable
    if not model.trainable:
        return
    rows = torch.arange(len(clicks))
    draw = torch.Generator().manual_seed(0)
    negatives = torch.randint(ITEMS, (len(rows), 1), generator=draw)
    batch = Batch(clicks.users, torch.cat([clicks.items[:, None], negatives], 1), rows)
    items = None
    if model.uses_content:
        fused = model.fuse(features)
        items = ItemViews(fused.views, fused.present)
    scores = model.pair_scores(model.touch(batch, items))
    scores.square().sum().backward()
    unmoved = [name for name, p in parameters.items() if p.grad is None or not p.grad.any()]
    assert not unmoved


def test_nothing_of_the_catalogue_is_saved_but_what_training_found(build, clicks, features):
    model = build(clicks, features)
    kept = set(model.state_dict()) - {name for name, _ in model.named_parameters()}
    assert kept <= {"counts"}


def test_who_reads_features_says_what_is_missing(clicks, features):
    context = Context(clicks, D, 0)
    with pytest.raises(FusionlabError, match=r"'content' .* found none, expected a fusion"):
        RECOMMENDERS.parse("content").build(context, None)
    fusion = FUSIONS.parse("mean_scores").build(features.specs, D)
    with pytest.raises(FusionlabError, match=r"'content_knn' .* expected features in its context"):
        RECOMMENDERS.parse("content_knn").build(context, fusion)
