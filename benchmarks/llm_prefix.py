"""What `llm_prefix` saves: prompt and texts read once, distinct items once.

``python benchmarks/llm_prefix.py [names]``: seconds with and without, their ratio, the ratio that
counting tokens predicts, and by how much the outputs differ. Each call is a forward and a backward
pass, without reuse by the same model. It has the layers of SmolLM2-135M, 6 of them, with random
weights: they cost the same.
"""

import argparse
import tempfile
from functools import cache, partial
from pathlib import Path

import torch
from paired import pair
from rich.console import Console
from rich.table import Table
from shapes import ITEMS, clicks

from fusionlab.data.distinct import Distinct
from fusionlab.data.features import ItemFeatures
from fusionlab.encoders.text.tiny import byte_tokenizer
from fusionlab.fusion.contract import FUSIONS
from fusionlab.llm.model import load
from fusionlab.llm.prefix_cache import PrefixCache

BATCH, SOFT, LAYERS = 64, 4, 6


@cache
def folder():
    """A Llama with the layers of SmolLM2-135M that reads bytes."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=257,
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=LAYERS,
        num_attention_heads=9,
        num_key_value_heads=3,
        max_position_embeddings=2048,
        initializer_range=0.04,
    )
    found = Path(tempfile.mkdtemp())
    LlamaForCausalLM(config).save_pretrained(found)
    byte_tokenizer().save_pretrained(found)
    return str(found)


class Reading:
    """A batch's soft tokens after prompt and text: from what is kept, or all read anew."""

    def __init__(self, prompt, texts):
        """``prompt`` tokens, and texts of at most ``texts`` tokens, half of that at least."""
        self.llm = load(folder())
        self.cache = PrefixCache(self.llm, "x" * prompt, 1000)
        draw = torch.Generator().manual_seed(0)
        lengths = torch.randint(texts // 2, texts + 1, (BATCH, 1), generator=draw)
        self.ids = torch.randint(0, 256, (BATCH, texts), generator=draw)
        self.on = torch.arange(texts) < lengths
        scale = self.llm.norm / self.llm.width**0.5
        self.soft = torch.randn(BATCH, SOFT, self.llm.width, generator=draw) * scale
        self.soft.requires_grad_()
        self.all = torch.ones(BATCH, SOFT, dtype=torch.bool)
        start = torch.tensor(self.llm.tokens("x" * prompt, start=True))
        self.before = torch.cat([start.expand(BATCH, -1), self.ids], 1)
        self.mask = torch.cat([torch.ones(BATCH, prompt).bool(), self.on, self.all], 1)
        self.share = SOFT * BATCH / self.mask.sum().item()

    def kept(self):
        prefix = self.cache.read(self.ids, self.on)
        return self._back(self.llm.states(self.soft, self.all, prefix.past))

    def anew(self):
        tokens = torch.cat([self.llm.embed(self.before), self.soft], 1)
        return self._back(self.llm.states(tokens, self.mask)[:, -SOFT:])

    def _back(self, states):
        self.soft.grad = None
        states.square().mean().backward()
        return states.detach()


def distinct_rows():
    """The items of 128 clicks and as many negatives, of a catalogue a tenth as large, so that a
    small step repeats as a large one; and the generator that drew them."""
    draw = torch.Generator().manual_seed(0)
    clicked = clicks().items[torch.randperm(len(clicks().items), generator=draw)[:256]]
    return clicked % (ITEMS // 10), draw


def share_of_distinct(rows):
    return len(rows.unique()) / len(rows)


def distinct_limits():
    """Distinct items once must save what they are fewer: their share, .1 more or less."""
    share = share_of_distinct(distinct_rows()[0])
    return share - 0.1, share + 0.1


class Step:
    """The items of 128 clicks and as many negatives, by a Zipf law: each once, or each time."""

    def __init__(self):
        (self.rows, draw), n = distinct_rows(), ITEMS // 10
        ids = torch.randint(0, 256, (n, 24, 1), generator=draw, dtype=torch.int32)
        values = {"text": ids, "image": torch.randn(n, 1, 128, generator=draw)}
        mask = {name: torch.ones(x.shape[:2], dtype=torch.bool) for name, x in values.items()}
        self.features = ItemFeatures(values, mask, {"text": 257})
        options = {"name": "llm_prefix", "model": folder(), "tokens": SOFT}
        self.fusion = FUSIONS.parse(options).build(self.features.specs, 64)
        self.distinct = Distinct(n)
        self.share = share_of_distinct(self.rows)

    def once(self):
        items, position = self.distinct([self.rows])
        views = self.fusion(self.features.take(items)).views
        return self._back(views[position[self.rows]])

    def each_time(self):
        return self._back(self.fusion(self.features.take(self.rows)).views)

    def _back(self, views):
        self.fusion.zero_grad()
        views.square().mean().backward()
        return views.detach()


def after(prompt, texts=0):
    reading = Reading(prompt, texts)
    return reading.kept, reading.anew, reading.share


def distinct():
    step = Step()
    return step.once, step.each_time, step.share


CASES = {
    "llm_prompt_16": partial(after, 16),
    "llm_prompt_64": partial(after, 64),
    "llm_text": partial(after, 16, 48),
    "llm_distinct": distinct,
}
"""Name: makes the call with reuse, the one without, and the share of tokens left."""


def difference(first, second):
    """The largest difference of two outputs, by the largest entry."""
    return ((first - second).abs().max() / second.abs().max()).item()


def calls(name):
    """The two calls of a case, whose outputs are the same to 1e-5."""
    with_reuse, without, _ = CASES[name]()
    found = difference(with_reuse(), without())
    assert found < 1e-5, f"{name}: outputs differ by {found:.1e}"
    return with_reuse, without


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help=f"of {', '.join(CASES)}; default: all")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    table = Table("case", "with s", "without s", "ratio (range)", "tokens left", "differ", box=None)
    for name in options.names or CASES:
        with_reuse, without, share = CASES[name]()
        found = difference(with_reuse(), without())
        row = pair(name, with_reuse, without, options.rounds).summary()
        spread = f"{row['ratio']:.2f} ({row['lowest']:.2f} to {row['highest']:.2f})"
        seconds = f"{row['ours']:.3f}", f"{row['theirs']:.3f}"
        table.add_row(name, *seconds, spread, f"{share:.2f}", f"{found:.1e}")
    Console().print(table)


if __name__ == "__main__":
    main()
