"""A model of one catalogue on another: what goes over, what it may mean there, what is refused."""

import pytest
import torch
from safetensors.torch import load_file

from fusionlab.config import Experiment
from fusionlab.data.sealed import sealed, unsealed
from fusionlab.errors import ConfigError, FusionlabError
from fusionlab.schema import validate
from fusionlab.studies.build import build_task
from fusionlab.studies.checks import check
from fusionlab.studies.datasets import load_dataset
from fusionlab.studies.identity import id_of
from fusionlab.studies.inputs import prepare_features, prepare_more
from fusionlab.studies.run import run_experiment
from fusionlab.studies.store import MODEL_FILE, RunStore
from fusionlab.studies.trained import load_trained

DATA = {"name": "synthetic", "users": 40, "items": 30, "clicks": 10, "seed": 1, "world": 0}
SOURCE = {"dataset": {"users": 60, "items": 50, "seed": 2}}
SMALL = {
    "dataset": DATA,
    "dim": 8,
    "training": {"epochs": 2, "batch_size": 128, "learning_rate": 0.01},
    "evaluation": {"cutoffs": [5]},
    "transfer": {"source": SOURCE},
}
RENDERED = {"dataset": {**DATA, "world": None, "features": "rendered"}}
PIXELS = {"of": "image", "encoder": {"name": "pixels", "side": 4}}
TFIDF = {"of": "text", "encoder": {"name": "tfidf", "width": 4}}


def experiment(**changes):
    return validate(Experiment, {**SMALL, **changes})


def model_of(store, run):
    return load_file(store.folder(run) / MODEL_FILE)


def test_a_source_is_the_experiment_with_its_changes():
    dotted = {"dataset.users": 60, "dataset.items": 50, "dataset": {"seed": 2}}
    for source in (SOURCE, dotted):
        found = experiment(transfer={"source": source}, seed=3).source
        want = experiment(dataset={**DATA, **SOURCE["dataset"]}, transfer=None, seed=3)
        assert found == want
    assert want.source is None
    longer = {"source": {**SOURCE, "training.epochs": 7}}
    assert experiment(transfer=longer).source.training.epochs == 7


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ({**SOURCE, "fusion": "gated"}, r"transfer\.source\.fusion: the rest of both .*'fusion'"),
        ({**SOURCE, "dim": 4}, r"transfer\.source\.dim: .*expected one of: augmentation, balancer"),
        ({"training.epochs": 4}, r"transfer\.source\.dataset: this key is required"),
        ({"dataset": {"user": 4}}, r"transfer\.source\.dataset\.user: .*did you mean 'users'"),
    ],
)
def test_a_source_with_another_model_or_mistakes_is_refused(source, said):
    with pytest.raises(ConfigError, match=said):
        experiment(transfer={"source": source})


def test_the_identity_follows_the_source():
    def identity(**changes):
        one = experiment(**changes)
        return id_of(one, load_dataset(one))

    base = identity()
    other_data = {"source": {"dataset": {**SOURCE["dataset"], "seed": 4}}}
    longer = {"source": {**SOURCE, "training.epochs": 3}}
    others = [
        identity(transfer=change)
        for change in (None, other_data, longer, {"source": SOURCE, "tune": True})
    ]
    assert len({base, *others}) == 5
    dotted = {"source": {"dataset.users": 60, "dataset.items": 50, "dataset.seed": 2}}
    assert identity(transfer=dotted) == base


@pytest.mark.parametrize(
    "model",
    [
        {"fusion": "gated"},
        {"fusion": "pca"},
        {"fusion": "gated", "inputs": {"imputer": "neighbours", "missing": {"train": 0.2}}},
        {"recommender": {"name": "content", "profile": "attention"}},
        {"recommender": "two_tower"},
        {"recommender": "sequential"},
    ],
    ids=[
        "trained",
        "closed form",
        "with train items in its state",
        "profile",
        "towers",
        "sequence",
    ],
)
def test_zero_shot_is_the_model_of_the_source_to_the_bit(model, tmp_path):
    store, wanted = RunStore(tmp_path), experiment(**model)
    record = run_experiment(wanted, store)
    source = run_experiment(wanted.source, store)
    assert record.source == {
        "run": source.id,
        "name": "synthetic",
        "fingerprint": source.dataset["fingerprint"],
    }
    assert record.cost.epochs == 0
    assert record.history == []
    assert record.coalition_training == source.coalition_training
    assert set(store.runs()) == {record.id, source.id}
    there, here = model_of(store, source.id), model_of(store, record.id)
    assert there.keys() == here.keys()
    assert all(torch.equal(there[name], here[name]) for name in there)
    assert record.dataset["users"] == 40
    assert source.dataset["users"] == 60


def test_fine_tuning_begins_with_it_and_the_source_is_trained_once(tmp_path):
    store, epochs = RunStore(tmp_path), []
    faster = {"source": {**SOURCE, "training.learning_rate": 0.01}}
    slowly = {"training": {**SMALL["training"], "learning_rate": 1e-7}}
    before = run_experiment(experiment(**slowly, transfer=faster), store)
    tuned = run_experiment(
        experiment(**slowly, transfer={**faster, "tune": True}), store, on_epoch=epochs.append
    )
    assert len(epochs) == tuned.cost.epochs == 2
    assert tuned.source == before.source
    for name, x in model_of(store, before.id).items():
        moved = (model_of(store, tuned.id)[name] - x).abs().max()
        assert 0 < moved < 1e-5, name


def test_a_source_that_another_process_works_on_is_left_to_it(tmp_path):
    store, wanted = RunStore(tmp_path), experiment()
    with store.lock(id_of(wanted.source, load_dataset(wanted.source))):
        assert run_experiment(wanted, RunStore(tmp_path), patient=False) is None
    assert store.runs() == []


@pytest.mark.parametrize("inputs", [{}, {"scaling": "feature"}, {"energy": 0.8}])
def test_an_item_of_both_catalogues_has_the_same_features_in_both(inputs):
    """Scales and axes are the source's, though other items were clicked in training here."""
    here = {**DATA, "users": 4, "clicks": 5}
    wanted = experiment(
        dataset=here, inputs=inputs, transfer={"source": {"dataset": {"users": 60, "clicks": 10}}}
    )
    dataset = load_dataset(wanted)
    train = dataset.interactions.train.popularity.nonzero().flatten()
    assert len(train) < 30
    source_train = dataset.source.interactions.train.popularity.nonzero().flatten()
    found = prepare_features(wanted, dataset, train)
    want = prepare_features(wanted.source, dataset.source, source_train)
    on_its_own = wanted.varied({"transfer": None})
    alone = prepare_features(on_its_own, load_dataset(on_its_own), train)
    more = prepare_more(wanted, dataset, train, dataset.features)
    for name in want.modalities:
        assert torch.equal(found.values[name], want.values[name])
        assert torch.equal(found.values[name], more.values[name])
        shape = alone.values[name].shape
        assert shape != want.values[name].shape or not torch.equal(
            alone.values[name], want.values[name]
        )


@pytest.mark.parametrize("tune", [False, True])
def test_a_run_comes_back_with_its_scores(tune, tmp_path):
    store = RunStore(tmp_path)
    record = run_experiment(
        experiment(transfer={"source": SOURCE, "tune": tune}, inputs={"energy": 0.9}), store
    )
    back = load_trained(record.id, store)
    with torch.no_grad():
        again = back.task.judge({"valid": back.dataset.interactions.valid})["valid"].means()
    assert again == record.metrics["valid"]
    file = store.folder(record.id) / "record.json"
    told = unsealed(file.read_text())
    told["source"]["fingerprint"] = "0" * 64
    file.write_text(sealed(told))
    with pytest.raises(FusionlabError, match="source dataset 'synthetic' with fingerprint"):
        load_trained(record.id, store)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"recommender": "bpr_mf"},
            r"recommender\.name: found 'bpr_mf', .*: content, sequential, two_tower",
        ),
        ({"recommender": "hybrid"}, r"recommender\.name: found 'hybrid', which does not score by"),
        ({"recommender": "popularity"}, r"recommender\.name: found 'popularity'"),
        (
            {"recommender": {"name": "two_tower", "item_ids": True}},
            r"recommender\.item_ids: found true, but another catalogue has other items",
        ),
        (
            {"task": "classification", "dataset": {**DATA, "task": "classification"}},
            r"transfer: found task 'classification'",
        ),
        (
            {"transfer": {"source": {"dataset": {"dim": {"text": 12}}}}},
            r"transfer\.source: found 'text' with 28 columns, expected 32 columns",
        ),
        (
            {"transfer": {"source": {"dataset": {"modalities": ["text", "image"]}}}},
            r"found the modalities text, image, .* in the same order, text, image, audio: name",
        ),
        (
            {"transfer": {"source": {"dataset": {"modalities": ["text", "audio", "image"]}}}},
            r"found the modalities text, audio, image, .*text, image, audio",
        ),
        (
            {
                "fusion": {"name": "transformer", "positions": "learned"},
                "transfer": {"source": {"dataset": {"tokens": {"text": 2}}}},
            },
            r"other numbers of tokens than here \(text: 2 and 1, .*parameters for each token",
        ),
        (
            {"transfer": {"source": {**SOURCE, "evaluation.select": "accuracy"}}},
            r"transfer\.source\.evaluation\.select: found 'accuracy'",
        ),
    ],
)
def test_what_would_mean_nothing_here_is_refused(changes, said):
    wanted = experiment(**changes)
    with pytest.raises(ConfigError, match=said):
        check(wanted, load_dataset(wanted))


def test_other_numbers_of_tokens_are_no_matter_where_no_parameter_knows_of_them(tmp_path):
    wanted = experiment(transfer={"source": {"dataset": {**SOURCE["dataset"], "tokens": 2}}})
    assert run_experiment(wanted, RunStore(tmp_path)).cost.epochs == 0


def test_a_common_part_of_the_modalities_will_do(tmp_path):
    wanted = experiment(
        inputs={"modalities": ["text", "image"]},
        transfer={"source": {"dataset": {"modalities": ["text", "image"], "users": 60}}},
    )
    record = run_experiment(wanted, RunStore(tmp_path))
    assert list(record.dataset["features"]) == ["text", "image"]


def test_encoded_media_go_over_by_the_same_encoder(tmp_path):
    source = {"dataset": {"seed": 2, "items": 40}}
    wanted = experiment(**RENDERED, encoders={"image": PIXELS}, transfer={"source": source})
    store = RunStore(tmp_path)
    record = run_experiment(wanted, store)
    found = model_of(store, record.id)
    assert all(torch.equal(found[k], x) for k, x in model_of(store, record.source["run"]).items())


@pytest.mark.parametrize(
    ("encoders", "other", "said"),
    [
        (
            {"image": PIXELS},
            {"image": {"encoder": {"side": 5}}},
            r"source\.encoders\.image: found 'image' as encoded by 'pixels' with side=5, "
            r"expected .* 'pixels' with side=4",
        ),
        ({"text": TFIDF}, {}, r"source\.encoders\.text: found 'tfidf', which is fitted on"),
    ],
)
def test_another_or_a_fitted_encoder_is_refused(encoders, other, said, tmp_path):
    source = {"dataset": {"seed": 2}, "encoders": other}
    wanted = experiment(**RENDERED, encoders=encoders, transfer={"source": source})
    with pytest.raises(ConfigError, match=said):
        check(wanted, load_dataset(wanted, RunStore(tmp_path).features))


def test_a_source_without_its_model_is_said(tmp_path):
    store, wanted = RunStore(tmp_path), experiment()
    source = run_experiment(wanted.source, store)
    (store.folder(source.id) / MODEL_FILE).unlink()
    with pytest.raises(FusionlabError, match=r"model\.safetensors: not found, expected the model"):
        run_experiment(wanted, store)


def test_without_a_source_nothing_is_other(tmp_path):
    plain = experiment(transfer=None)
    record = run_experiment(plain, RunStore(tmp_path))
    assert record.source == {}
    assert load_dataset(plain).source is None
    task = build_task(plain, load_dataset(plain))
    assert task.model.fusion is not None
