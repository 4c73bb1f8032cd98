"""Items added after training: read, prepared like the others, and ranked for those they suit."""

import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from small_runs import RENDERED, trained_run

from fusionlab.cli import main
from fusionlab.data.interactions import Clicks
from fusionlab.data.new_items import joined
from fusionlab.errors import FusionlabError
from fusionlab.recommenders.content_knn import ContentKnn
from fusionlab.recommenders.contract import Context
from fusionlab.serving.new_items import NewItem, features_of, read_new_items
from fusionlab.serving.recommend import Service
from fusionlab.studies.store import RunStore
from fusionlab.training.items import catalogue_views

MODALITIES = ("text", "image", "audio")


def raw(trained, row, names=MODALITIES):
    features = trained.dataset.features
    return {name: features.values[name][row] for name in names}


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    return trained_run(RunStore(tmp_path_factory.mktemp("runs")), recommender="content")


@pytest.mark.parametrize("scaling", ["none", "modality", "feature"])
def test_vectors_are_scaled_as_those_of_the_catalogue_to_the_bit(scaling, tmp_path):
    trained = trained_run(RunStore(tmp_path), inputs={"scaling": scaling})
    items = [NewItem(f"n{row}", vectors=raw(trained, row)) for row in (3, 30)]
    found, _ = features_of(trained, items)
    for name, values in trained.task.features.values.items():
        assert torch.equal(found.values[name], values[[3, 30]])


def test_vectors_are_reduced_on_the_axes_of_the_catalogue(tmp_path):
    trained = trained_run(RunStore(tmp_path), inputs={"energy": 0.9})
    found, _ = features_of(trained, [NewItem("n", vectors=raw(trained, 3))])
    for name, values in trained.task.features.values.items():
        torch.testing.assert_close(found.values[name], values[[3]], atol=1e-5, rtol=1e-5)


def test_media_are_encoded_as_those_of_the_catalogue(tmp_path):
    trained = trained_run(RunStore(tmp_path), **RENDERED)
    media = trained.dataset.media
    item = NewItem("n", {name: media[name].entries[3] for name in MODALITIES})
    found, _ = features_of(trained, [item])
    for name, values in trained.task.features.values.items():
        torch.testing.assert_close(found.values[name], values[[3]], atol=1e-4, rtol=1e-4)


def test_media_go_through_an_encoder_that_was_trained(tmp_path):
    text = {"name": "text_transformer", "model": "tiny", "max_length": 16}
    encoders = {"text": {"of": "text", "encoder": text, "trained": True}}
    trained = trained_run(RunStore(tmp_path), **{**RENDERED, "encoders": encoders})
    entry = trained.dataset.media["text"].entries[3]
    service = Service(trained, [NewItem("n", {"text": entry})])
    views = service.scoring.ranker.items.views
    torch.testing.assert_close(views[40], views[3], atol=1e-5, rtol=1e-4)


def test_a_text_without_a_known_word_is_said_to_say_nothing(tmp_path):
    """It stands in the catalogue as zeros, so here too: no more is known of it, and no less."""
    store = RunStore(tmp_path)
    trained = trained_run(store, **RENDERED)
    media = trained.dataset.media["text"].entries[3]
    found, notes = features_of(
        trained, [NewItem("n", {"text": media}), NewItem("m", {"text": "?"})]
    )
    line = "item 'm', text: the encoder of 'text' knows no word of it, so it says nothing"
    assert notes == [line]
    assert found.present("text").tolist() == [True, True]
    listed = Service(trained, [NewItem("m", {"text": "xyzzy"})]).recommend(["u1"], 3)[0]
    assert line in listed.notes
    asked = ["recommend", trained.record.id, "--runs", str(store.root), "--k", "3", "--text"]
    unknown, known = (CliRunner().invoke(main, [*asked, text]).output for text in ("xyzzy", media))
    assert "'text' knows no word of it" in " ".join(unknown.split())
    assert "no word of it" not in known


def test_lines_are_read_and_a_modality_may_be_missing(content, tmp_path):
    vectors = {name: x[0].tolist() for name, x in raw(content, 3).items()}
    lines = [{"item": "n0", **vectors}, {"item": "n1", "text": vectors["text"], "image": None}]
    file = tmp_path / "new.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)))
    items = read_new_items(file, content)
    assert [item.id for item in items] == ["n0", "n1"]
    found, _ = features_of(content, items)
    assert found.present("image").tolist() == [True, False]
    listed = Service(content, items).recommend(["u1"], 40)[0].items
    assert {one.item for one in listed if one.new} == {"n0", "n1"}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 1: not JSON .*expected an object with an id under 'item'"),
        ("", "found no item, expected one a line"),
        ("[1]", r"line 1: found \[1\], expected an object with an id under 'item'"),
        ('{"item": "i3"}', "'i3', which is in the catalogue"),
        ('{"item": "n", "txt": [1]}', "txt: found 'txt', expected .*did you mean 'text'"),
        ('{"item": "n", "text": "words"}', "text: found 'words', expected a list of numbers"),
        ('{"item": "n", "text": ["a"]}', r"text: found \['a'\], expected numbers"),
        ('{"item": "n", "text": [1' + "0" * 400 + "]}", "text: found .*expected numbers"),
        ('{"item": "n", "text": [1.0]}', r"item 'n', text: found shape \(1, 1\)"),
        ('{"item": "n"}', "item 'n': found nothing that run"),
        (
            '{"item": "n", "text": [NaN' + ", 0" * 31 + "]}",
            "item 'n', text: found NaN or infinity, expected finite",
        ),
    ],
)
def test_what_is_wrong_is_refused(content, tmp_path, line, message):
    file = tmp_path / "new.jsonl"
    file.write_text(line)
    with pytest.raises(FusionlabError, match=message):
        features_of(content, read_new_items(file, content))


def test_numbers_for_a_text_that_is_read_as_tokens_are_refused(tmp_path):
    tokens = {"name": "text_tokens", "model": "tiny", "max_length": 8}
    trained = trained_run(
        RunStore(tmp_path),
        dataset={**RENDERED["dataset"], "users": 20, "items": 16, "clicks": 6},
        encoders={"text": {"of": "text", "encoder": tokens}},
        fusion={"name": "llm_prefix", "model": "tiny"},
        training={"epochs": 1, "batch_size": 512},
    )
    with pytest.raises(FusionlabError, match="item 'n', text: found numbers, expected the text"):
        features_of(trained, [NewItem("n", vectors={"text": torch.ones(1)})])


@pytest.mark.parametrize("name", ["bpr_mf", "lightgcn_id", "ease"])
def test_recommenders_that_score_otherwise_refuse_new_items(name, tmp_path):
    trained = trained_run(RunStore(tmp_path), recommender=name)
    with pytest.raises(FusionlabError, match=f"'{name}' cannot rank items added after"):
        Service(trained, [NewItem("n", vectors=raw(trained, 3))])


def test_content_knn_ranks_a_new_item_where_it_would_have_stood(tmp_path):
    """As the same recommender does over a catalogue that always had the item, nobody's click."""
    trained = trained_run(RunStore(tmp_path), recommender="content_knn")
    own = {name: x + 1 for name, x in raw(trained, 3).items()}
    items = [NewItem("n", vectors=own), NewItem("m", vectors={"text": own["text"]})]
    service, task = Service(trained, items), trained.task
    features, clicks = service.scoring.new, task.train
    assert features.present("image").tolist() == [True, False]
    whole = joined(task.judged, features)
    longer = Clicks(clicks.indptr, clicks.items, 42)
    always = ContentKnn(Context(longer, 8, features=whole), None)
    expected = always.ranker(None)(torch.arange(60))
    torch.testing.assert_close(service.scoring.ranker(torch.arange(60)), expected)
    assert torch.equal(expected[:, :40], task.ranker()(torch.arange(60)))

    user = trained.dataset.interactions
    names = [*user.user_ids[:5]]
    for row, found in enumerate(service.recommend(names, 42)):
        seen = torch.cat([c.items[c.users == row] for c in (user.train, user.valid)])
        scores = expected[row].index_fill(0, seen, -torch.inf)
        order = scores.argsort(descending=True, stable=True)[: 42 - len(seen)]
        assert [service.item_rows[one.item] for one in found.items] == order.tolist()
        assert {one.item for one in found.items if one.new} == {"n", "m"}
    assert service.recommend(names[:1], 42)[0].notes == []

    without = service.scoring.ranker_without(["text"])(torch.arange(60))
    assert (without[:, 41] == 0).all()
    assert (without[:, 40] != expected[:, 40]).any()


def test_item_graph_lends_a_new_item_what_its_neighbours_have(tmp_path):
    """The graph written out from cosines; the catalogue's own scores stay what they were."""
    recommender = {"name": "item_graph", "neighbours": 3}
    trained = trained_run(RunStore(tmp_path), recommender=recommender, fusion="sum")
    own = {name: x + 1 for name, x in raw(trained, 3).items()}
    service = Service(
        trained, [NewItem("n", vectors=own), NewItem("m", vectors={"text": own["text"]})]
    )
    task, model = trained.task, trained.task.model
    found = service.scoring.ranker(torch.arange(60)).clone()
    before = task.ranker()(torch.arange(60)).clone()
    torch.testing.assert_close(found[:, :40], before, atol=1e-5, rtol=1e-5)

    joint = np.zeros((2, 40))
    counts = np.zeros(40)
    for name, present in {"text": [0, 1], "image": [0], "audio": [0]}.items():
        known, new = (
            np.nan_to_num(one.values[name].numpy().mean(1))
            for one in (task.judged, service.scoring.new)
        )
        known, new = (
            x / np.maximum(np.linalg.norm(x, axis=1), 1e-12)[:, None] for x in (known, new)
        )
        on = task.judged.present(name).numpy()
        counts += on * np.minimum(3, on.sum() - 1)
        for row in present:
            joint[row, np.argsort(-(new[row] @ known.T - 9 * ~on))[:3]] += 1
    graph = joint / np.sqrt(joint.sum(1, keepdims=True)) / np.sqrt(counts)
    views = catalogue_views(model.fusion, joined(task.judged, service.scoring.new)).views[:, 0]
    users, _ = (x.detach().numpy() for x in model.smoothed())
    lent = graph @ (views[:40].numpy() + model.items.weight.detach().numpy())
    expected = users @ (views[40:].numpy() + lent).T
    torch.testing.assert_close(
        found[:, 40:].numpy(), expected.astype(np.float32), atol=1e-5, rtol=1e-4
    )
    assert service.recommend(["u1"], 3)[0].notes == []


def test_content_knn_reads_new_and_described_items_as_history(tmp_path):
    trained = trained_run(RunStore(tmp_path), recommender="content_knn")
    new, described = (NewItem(name, vectors=raw(trained, 7)) for name in ("n", "(described)"))
    service = Service(trained, [new])
    known = service.recommend_stranger(41, liked=["i3", "i7"]).items
    added = service.recommend_stranger(41, liked=["i3", "n"]).items
    told = service.recommend_stranger(41, liked=["i3"], described=described).items
    scores = [{one.item: one.score for one in some} for some in (known, added, told)]
    assert set(scores[2]) == {f"i{row}" for row in range(40) if row != 3} | {"n"}
    for some in scores[1:]:
        both = scores[0].keys() & some.keys()
        assert len(both) >= 38
        assert {x: some[x] for x in both} == pytest.approx({x: scores[0][x] for x in both})


def test_lightgcn_ranks_new_items_by_users_that_the_graph_made(tmp_path):
    trained = trained_run(RunStore(tmp_path), recommender="lightgcn", fusion="sum")
    scores = Service(trained, [NewItem("n", vectors=raw(trained, 3))]).scoring.ranker(
        torch.arange(60)
    )
    model = trained.task.model
    views = catalogue_views(model.fusion, trained.task.judged)
    users = model.user_views(torch.arange(60), views)[:, 0]
    torch.testing.assert_close(scores[:, 40], users @ views.views[3, 0], atol=1e-5, rtol=1e-4)


def test_beside_id_factors_content_alone_ranks_new_items_and_it_is_said(tmp_path):
    trained = trained_run(RunStore(tmp_path), recommender="hybrid")
    service = Service(trained, [NewItem("n", vectors=raw(trained, 3))])
    scores = service.scoring.ranker(torch.arange(60)).clone()
    model = trained.task.model
    ids = model.ids.user_factors(torch.arange(60)) @ model.ids.item_factors(torch.tensor([3])).T
    torch.testing.assert_close(scores[:, 40], scores[:, 3] - ids[:, 0], atol=1e-5, rtol=1e-4)
    assert "no ID score" in service.recommend(["u1"], 3)[0].notes[0]
