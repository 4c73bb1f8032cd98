"""A study that runs in seconds."""

import pytest

STUDY = """
title: tiny
experiment:
  dataset: {name: synthetic, users: 60, items: 40, clicks: 12, nuisance: 0}
  dim: 8
  training: {epochs: 3, batch_size: 128, learning_rate: 0.01}
  evaluation: {cutoffs: [5]}
axes: {fusion: [concat, lowrank_tensor]}
seeds: [0, 1]
controls: [popularity, best_single_modality, shuffled_features, achievable]
"""


@pytest.fixture
def study_file(tmp_path):
    file = tmp_path / "tiny.yaml"
    file.write_text(STUDY)
    return file
