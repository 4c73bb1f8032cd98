"""A classifier over the sum of modalities, small enough to be computed by hand."""

import torch
import torch.nn.functional as F

from fusionlab.balancing.contract import BALANCERS
from fusionlab.data.dataset import Labelled, Labels
from fusionlab.data.features import ItemFeatures
from fusionlab.fusion.contract import specimen
from fusionlab.schema import validate
from fusionlab.sections import Training
from fusionlab.training.classification import ClassificationTask, Classifier

NAMES = ("text", "image", "audio")
ITEMS, CLASSES, DIM = 12, 3, 4
MASKED = {"text": 3, "image": 7}
"""An item that lacks each of these modalities."""


def data(m=2, seed=0):
    draw = torch.Generator().manual_seed(seed)
    values = {name: torch.randn(ITEMS, 1, 2 + k, generator=draw) for k, name in enumerate(NAMES)}
    mask = {name: torch.ones(ITEMS, 1, dtype=torch.bool) for name in NAMES}
    for name, row in MASKED.items():
        mask[name][row] = False
    names = NAMES[:m]
    features = ItemFeatures({n: values[n] for n in names}, {n: mask[n] for n in names})
    return features, torch.randint(CLASSES, (ITEMS,), generator=draw)


def task(m=2, fusion="sum", **balancer):
    """A task with a balancer, by its options; the same weights each time."""
    features, classes = data(m)
    torch.manual_seed(0)
    strategy = specimen(fusion).build(features.specs, DIM)
    with torch.no_grad():
        strategy.fit(features)
    part = Labelled(torch.arange(ITEMS), classes)
    labels = Labels([str(c) for c in range(CLASSES)], part, part, part)
    return ClassificationTask(
        Classifier(strategy, CLASSES),
        labels,
        features,
        validate(Training, {}),
        "accuracy",
        balancer=BALANCERS.parse(balancer).build(features.modalities),
    )


class ByHand:
    """The same classifier from its weights: logits = (sum_m W_m x_m + b_m) H + c."""

    def __init__(self, of):
        parameters = dict(of.model.named_parameters())
        names = of.features.modalities
        self.w = {name: parameters[f"fusion.project.{name}.weight"] for name in names}
        self.b = {name: parameters[f"fusion.project.{name}.bias"] for name in names}
        self.head, self.bias = parameters["heads"][0], parameters["bias"][0]
        self.features, self.classes = data(len(self.w))

    def logits(self, rows, names):
        """Of items ``rows`` in the light of ``names``; and which items have one of them."""
        view = torch.zeros(len(rows), DIM)
        there = torch.zeros(len(rows), dtype=torch.bool)
        for name in names:
            for place, row in enumerate(rows.tolist()):
                if self.features.mask[name][row, 0]:
                    x = self.features.values[name][row, 0]
                    one = torch.zeros(len(rows), DIM)
                    one[place] = self.w[name] @ x + self.b[name]
                    view, there[place] = view + one, True
        return view @ self.head + self.bias, there

    def loss(self, rows, names):
        """The mean cross-entropy of the items that have one of the modalities."""
        logits, there = self.logits(rows, names)
        return F.cross_entropy(logits[there], self.classes[rows][there])

    def certainty(self, rows, names):
        """The mean probability of the right class."""
        logits, there = self.logits(rows, names)
        right = logits.softmax(1)[torch.arange(len(rows)), self.classes[rows]]
        return right[there].mean().item()


def own(of, name):
    """The names and parameters that belong to a modality alone."""
    mine = {id(p) for p in of.model.fusion.modality_parameters(name)}
    return {n: p for n, p in of.model.named_parameters() if id(p) in mine}


def numbers_told(of):
    """What the balancer tells of the last step, as numbers by name."""
    found = {}
    for kind, values in of.balancer.told().items():
        numbers = zip(of.balancer.names(kind, len(values)), values.tolist(), strict=True)
        found |= {name: x for name, x in numbers if x == x}
    return found


def gradients(of, rows):
    """Those that the balancer leaves after a batch, by name."""
    of.model.zero_grad(set_to_none=True)
    of.balancer.backward(of.step(rows, torch.Generator()))
    return {n: p.grad for n, p in of.model.named_parameters()}


BATCHES = torch.tensor([0, 3, 5, 7, 8]), torch.tensor([1, 2, 3, 4, 9, 11])
"""Two steps; items that lack a modality are in both."""


def descend(of, rate=0.5):
    """One plain step down the gradients that are there."""
    with torch.no_grad():
        for p in of.model.parameters():
            if p.grad is not None:
                p -= rate * p.grad
