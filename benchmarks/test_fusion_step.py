"""Forward and backward of every strategy for 2,048 items of three pooled modalities."""

import pytest
import torch
from framework import as_a_run
from shapes import features

from fusionlab.fusion.contract import FUSIONS, specimen


@pytest.mark.benchmark(group="fusing 2,048 items, forward and backward")
@pytest.mark.parametrize("name", FUSIONS.names())
def test_step(benchmark, name):
    catalogue = features(text=384, image=512, audio=128)
    items = catalogue.take(torch.arange(2048))
    fusion = specimen(name).build(catalogue.specs, 64)
    fusion.fit(items)

    def step():
        views = fusion(items).views
        if fusion.trainable:
            views.sum().backward()

    benchmark.pedantic(as_a_run(step), rounds=10, warmup_rounds=2)
