"""Balancers' options that name modalities: a typo is refused, a row with fewer of them is not."""

import pytest

from fusionlab.config import experiment_from
from fusionlab.errors import ConfigError
from fusionlab.studies.build import build_task
from fusionlab.studies.datasets import load_dataset

SMALL = {"dataset": {"name": "synthetic", "users": 30, "items": 40, "clicks": 10}}


def built(balancer, **changes):
    experiment = experiment_from({**SMALL, "balancer": balancer, **changes})
    return build_task(experiment, load_dataset(experiment)).balancer


@pytest.mark.parametrize(("name", "option"), [("fixed_weights", "weight"), ("mslr", "keep")])
def test_what_is_no_modality_of_the_dataset_is_refused(name, option):
    with pytest.raises(ConfigError, match=rf"balancer\.{option}.*'imag'.*'image'"):
        built({"name": name, option: {"imag": 1}})


@pytest.mark.parametrize(
    ("name", "option", "buffer", "rest"),
    [("fixed_weights", "weight", "given", 0.0), ("mslr", "keep", "factors", 1.0)],
)
def test_a_row_without_what_is_named_is_built(name, option, buffer, rest):
    part = {"name": name, option: {"text": 2, "image": 0.5}}
    two = built(part, inputs={"modalities": ["image", "audio"]})
    assert getattr(two, buffer).tolist() == [0.5, rest]
    assert built(part, inputs={"modalities": ["audio"]}).name == "none"
    atoms = {"dataset": {**SMALL["dataset"], "features": "atoms"}}
    assert built(part, **atoms).name == "none"
