"""Draws codes, tastes, clicks and classes from the atoms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fusionlab.data.features import ItemFeatures
from fusionlab.data.synthetic.atoms import Atom
from fusionlab.data.synthetic.lift import Lift
from fusionlab.data.synthetic.streams import stream
from fusionlab.data.synthetic.truth import BLOCK, Truth
from fusionlab.errors import FusionlabError

TASTE = 0.5
MAX_COMBINATIONS = 4096
Ints = npt.NDArray[np.int64]


def draw_codes(
    atoms: Sequence[Atom], modalities: Sequence[str], n_items: int, alphabet: int, seed: int
) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """Codes by modality (N, J), clean values (N, A) and labels (N, A)."""
    columns: dict[str, list[Ints]] = {name: [] for name in modalities}
    clean, observed = [], []
    for atom in atoms:
        draws = {
            name: stream(seed, "code", atom.name, name).integers(0, alphabet, n_items)
            for name in (atom.over if atom.kind == "parity" else atom.over[:1])
        }
        value = np.sum(list(draws.values()), axis=0) % alphabet
        for name in atom.over:
            columns[name].append(draws[name] if atom.kind == "parity" else value)
        flips = stream(seed, "flip", atom.name)
        flipped = flips.random(n_items) < atom.flip
        clean.append(value)
        observed.append((value + flipped * flips.integers(1, alphabet, n_items)) % alphabet)
    codes = {
        name: torch.from_numpy(np.array(held, dtype=np.int64).reshape(len(held), n_items).T.copy())
        for name, held in columns.items()
    }
    return codes, _columns(clean), _columns(observed)


def draw_presence(rates: Mapping[str, float], n_items: int, seed: int) -> Tensor:
    """(N, M) bool: each modality of each item is missing on its own, at the modality's rate.

    An item may lack every modality; it stays in the catalogue all the same.
    """
    columns = [
        stream(seed, "missing", name).random(n_items) >= rate for name, rate in rates.items()
    ]
    return torch.from_numpy(np.stack(columns, axis=1))


def draw_tastes(atoms: Sequence[Atom], n_users: int, alphabet: int, seed: int) -> Tensor:
    """theta (U, A, k): normal with standard deviation `TASTE`, centred over the values.

    The deviation is free beside the weights and tau. With 1/2 (and the default popularity) the
    standard catalogue has an oracle NDCG@20 of about .25 and an additive one of about .13.
    """
    tastes = np.stack(
        [
            TASTE * stream(seed, "taste", atom.name).standard_normal((n_users, alphabet))
            for atom in atoms
        ],
        axis=1,
    )
    return torch.from_numpy(tastes - tastes.mean(-1, keepdims=True)).float()


def draw_popularity(strength: float, n_items: int, seed: int) -> Tensor:
    """(N,): ``strength`` times a standard normal, a term of the logits."""
    return torch.from_numpy(strength * stream(seed, "popularity").standard_normal(n_items)).float()


def draw_clicks(truth: Truth, per_user: int, seed: int) -> tuple[Ints, Ints, Ints]:
    """Users, items and situations (E,) of ``per_user`` clicks each, without replacement.

    Successive draws from softmax(utility / tau) over the items not yet clicked are the top of
    utility / tau + Gumbel noise (Vieira 2014; Kool, van Hoof and Welling 2019), found in blocks
    of users. Items stand in catalogue order: the order of a user's clicks means nothing.

    With S situations a user clicks equally often in each (the first ones once more where S does not
    divide), situation after situation in a random order of the user's own.
    """
    rng, s = stream(seed, "click"), truth.situations
    n_users, n_items = len(truth.tastes), len(truth.observed)
    turns = torch.from_numpy(stream(seed, "situation").random((n_users, s)).argsort(1))
    rows, when = [], []
    for users in torch.arange(n_users).split(max(1, BLOCK // (n_items * s))):
        race = torch.from_numpy(rng.standard_exponential((len(users), s, n_items)))
        found: list[Tensor] = []
        for turn in range(s):
            utility = truth.utility(users, turns[users, turn])
            keys = (utility.double() / truth.tau).sub_(race[:, turn].log_())
            for items in found:
                keys.scatter_(1, items, -torch.inf)
            count = per_user // s + (turn < per_user % s)
            found.append(keys.topk(count, sorted=False).indices)
        counts = torch.tensor([items.shape[1] for items in found])
        items, order = torch.cat(found, 1).sort(dim=1)
        rows.append(items)
        when.append(turns[users].repeat_interleave(counts, 1).gather(1, order))
    users_of = np.repeat(np.arange(n_users), per_user)
    return users_of, torch.cat(rows).numpy().reshape(-1), torch.cat(when).numpy().reshape(-1)


def draw_classes(atoms: Sequence[Atom], classes: int, alphabet: int, seed: int) -> Tensor:
    """The class of each combination of labels, (k,) * A.

    class(y) = argmax_c sum_a w_a theta_c[a, y_a] + b_c, theta drawn normal, centred over values and
    over classes and scaled to a mean square of one, so that an atom counts by its weight whatever
    was drawn, with the biases b that make the classes equally frequent. They are the dual prices of
    the best assignment of k^A combinations to equally many places in each class, which is what is
    solved here.
    """
    from scipy.optimize import linear_sum_assignment  # here: slow, and rarely needed

    combinations = alphabet ** len(atoms)
    if combinations > MAX_COMBINATIONS:
        raise FusionlabError(
            f"task classification: found {alphabet}^{len(atoms)} = {combinations} combinations of "
            f"atoms, expected at most {MAX_COMBINATIONS}: a smaller alphabet or fewer atoms"
        )
    if classes > combinations:
        raise FusionlabError(
            f"classes: found {classes}, expected at most {combinations}, the combinations of atoms"
        )
    shape = (alphabet,) * len(atoms)
    scores = np.zeros((*shape, classes))
    for axis, atom in enumerate(atoms):
        theta = stream(seed, "class", atom.name).standard_normal((alphabet, classes))
        theta -= theta.mean(0)
        theta -= theta.mean(1, keepdims=True)
        theta *= atom.weight / np.sqrt(np.square(theta).mean())
        scores += theta.reshape((1,) * axis + (alphabet,) + (1,) * (len(atoms) - axis - 1) + (-1,))
    places = np.arange(combinations) % classes
    rows = scores.reshape(combinations, classes)[:, places]
    _, place = linear_sum_assignment(rows, maximize=True)
    return torch.from_numpy(places[place].reshape(shape))


def write_features(truth: Truth, lifts: Mapping[str, Lift], seed: int) -> ItemFeatures:
    """What a model may see of the codes: values and masks by modality."""
    values, masks = {}, {}
    for column, name in enumerate(truth.modalities):
        present = truth.present[:, column].numpy()
        values[name], masks[name] = lifts[name].write(
            truth.codes[name].numpy(), present, seed, name
        )
    return ItemFeatures(values, masks)


def atoms_as_features(truth: Truth, additive: bool) -> ItemFeatures:
    """One modality ``atoms``: the one-hot labels of all atoms, or of those that are copies."""
    kept = [i for i, atom in enumerate(truth.atoms) if not additive or atom.kind == "copy"]
    if not kept:
        raise FusionlabError(
            "features: found 'additive_atoms', but every atom is a parity; expected a copy"
        )
    one_hot = torch.nn.functional.one_hot(truth.observed[:, kept], truth.alphabet)
    values = one_hot.flatten(1).float()[:, None]
    return ItemFeatures({"atoms": values}, {"atoms": torch.ones(len(values), 1, dtype=torch.bool)})


def _columns(columns: list[Ints]) -> Tensor:
    return torch.from_numpy(np.stack(columns, axis=1).astype(np.int64))
