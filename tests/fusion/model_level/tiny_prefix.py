"""`llm_prefix` over the tiny random language model, and a catalogue for it to read."""

import importlib.util

import torch

from fusionlab.data.features import ItemFeatures
from fusionlab.fusion.contract import FUSIONS
from fusionlab.registry import Part

VOCABULARY, N, DIM = 257, 10, 8
LORA = importlib.util.find_spec("peft") is not None


def catalogue(n=N, seed=0):
    """Text of up to six ids, a picture of two tokens and a pooled sound; 0 has nothing, 1 all, 2
    only text, 3 only a picture."""
    draw = torch.Generator().manual_seed(seed)
    mask = {
        "text": torch.arange(6) < torch.randint(1, 7, (n, 1), generator=draw),
        "image": torch.rand(n, 2, generator=draw) > 0.3,
        "audio": torch.rand(n, 1, generator=draw) > 0.3,
    }
    for row, has in enumerate([(), ("text", "image", "audio"), ("text",), ("image",)]):
        for name, on in mask.items():
            on[row] = on[row] | True if name in has else False
    values = {
        "text": torch.randint(0, 250, (n, 6, 1), generator=draw, dtype=torch.int32),
        "image": torch.randn(n, 2, 5, generator=draw),
        "audio": torch.randn(n, 1, 4, generator=draw),
    }
    return ItemFeatures(values, mask, {"text": VOCABULARY})


def parse(**options) -> Part:
    return FUSIONS.parse({"name": "llm_prefix", "model": "tiny", "prompt": "Item:", **options})


def build(items=None, seed=0, **options):
    torch.manual_seed(seed)
    return parse(**options).build((items or catalogue()).specs, DIM).eval()
