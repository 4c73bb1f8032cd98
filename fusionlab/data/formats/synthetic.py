"""The synthetic catalogue with a known answer, as a dataset."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
import polars as pl
import torch
from pydantic import Field

from fusionlab.data.dataset import DATASETS, Dataset, DatasetFormat, Labelled, Labels
from fusionlab.data.features import ItemFeatures
from fusionlab.data.fingerprint import fingerprint
from fusionlab.data.media import Media
from fusionlab.data.situations import column_of, context_content
from fusionlab.data.splits import NAMES, TEST, TRAIN, VALID, Ratio, Split, split_clicks
from fusionlab.data.synthetic.atoms import AtomOptions, resolve_atoms, standard_atoms
from fusionlab.data.synthetic.by_modality import (
    STANDARD,
    by_modality,
    check_unused,
    checked_names,
    writings,
)
from fusionlab.data.synthetic.generate import (
    atoms_as_features,
    draw_classes,
    draw_clicks,
    draw_codes,
    draw_popularity,
    draw_presence,
    draw_tastes,
    write_features,
)
from fusionlab.data.synthetic.lift import Lift
from fusionlab.data.synthetic.render.catalogue import check_renderable, render
from fusionlab.data.synthetic.truth import SITUATION, Truth
from fusionlab.errors import FusionlabError
from fusionlab.schema import Section, Seed
from fusionlab.seal import Sealed

Count = Annotated[int, Field(ge=1)]
Width = Seed
Depth = Annotated[int, Field(ge=0, le=8)]
Amount = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
Rate = Annotated[float, Field(ge=0, le=1)]


@DATASETS.register("synthetic")
class Synthetic(DatasetFormat):
    """Items whose modalities know exactly what they are said to know.

    Atoms over Z_k: a copy in every modality (redundant), a copy in each one (unique), and a parity
    of shares over all of them (synergy: no proper subset knows anything of it). Modality m's code
    is its part of every atom, x_m = lift(code) + noise that leaves no decoding error. An item's
    labels are the atoms' values, each flipped with the rate e. Users click without
    replacement from softmax(sum_a w_a theta_u[a, y_a] / tau + popularity). The known answer is
    `Truth`, in ``Dataset.truth``.

    The defaults reproduce a catalogue in which the oracle has an NDCG@20 of about .25 and the best
    additive one .13. Options *by modality* take one number for all or a mapping; a modality
    not named there keeps the default. Noise, difficulty, scale, widths, tokens, missing and
    features move no click, no code and no label.

    With ``features: rendered`` the same codes are sentences, pictures and sounds (at most three
    atoms a modality and an alphabet of four), which `render.folder.write_folder` puts on disk.
    With ``task: classification`` the items have classes instead of clicks (`draw_classes`), and
    ``split`` divides the items as if one user had clicked them all.

    Options:
        users: number of users
        items: number of items
        clicks: clicks of each user, over all splits
        alphabet: k, the values an atom can take
        modalities: names of the modalities
        redundancy: weight in taste of the atom that every modality holds; 0 leaves it out
        uniqueness: weight of the atom that one modality holds, by modality; 0 leaves it out
        synergy: weight of the parity over all modalities; 0 leaves it out
        atoms: the atoms in full (kind, over, weight, flip, name) instead of these three
        flip: e, the rate at which labels differ from what modalities hold
        dim: columns that carry the code, by modality
        nuisance: further columns of pure noise, by modality
        noise: sigma against a signal of variance 1 a column, by modality
        difficulty: layers of a frozen invertible map that mixes signal, noise and nuisance, by
            modality; bites more the more nuisance there is, and leaves the information as it is
        scale: factor on the features, by modality
        missing: share of items that lack the modality, by modality
        tokens: T, by modality; an item has 1 to T tokens, and the code stands in one of them
        tau: temperature of the clicks
        popularity: standard deviation of the items' popularity in the logits
        situations: S; above 1 each click is in a situation, which the context column ``situation``
            tells, and the atom of modality m alone counts in situation m mod S only
        features: "measured"; or "rendered": no features, but each modality (text, image, audio) as
            sentences, PNG and WAV for encoders to read; or a ceiling: one modality "atoms" of
            one-hot labels, all ("atoms") or without parities ("additive_atoms"); labels are after
            the flips
        task: "recommendation" or "classification"
        classes: number of classes for classification
        split: which click (or item) is train, validation or test; default: ratio, .1 and .1
        seed: of the data; not the seed of training
        world: seed of how codes are written into measured features, so that catalogues of several
            seeds mean the same by the same columns; default: seed
    """

    def __init__(
        self,
        *,
        users: Count = 3000,
        items: Annotated[int, Field(ge=2)] = 800,
        clicks: Count = 60,
        alphabet: Annotated[int, Field(ge=2)] = 2,
        modalities: Annotated[tuple[str, ...], Field(min_length=1)] = ("text", "image", "audio"),
        redundancy: Amount = 1.0,
        uniqueness: Amount | dict[str, Amount] = 1.0,
        synergy: Amount = 1.5,
        atoms: list[Annotated[AtomOptions, Section(AtomOptions)]] | None = None,
        flip: Rate = 0.0,
        dim: Count | dict[str, Count] = STANDARD.dim,
        nuisance: Width | dict[str, Width] = STANDARD.nuisance,
        noise: Amount | dict[str, Amount] = STANDARD.noise,
        difficulty: Depth | dict[str, Depth] = STANDARD.difficulty,
        scale: Positive | dict[str, Positive] = STANDARD.scale,
        missing: Rate | dict[str, Rate] = 0.0,
        tokens: Count | dict[str, Count] = STANDARD.tokens,
        tau: Positive = 0.35,
        popularity: Amount = 0.15,
        situations: Count = 1,
        features: Literal["measured", "rendered", "atoms", "additive_atoms"] = "measured",
        task: Literal["recommendation", "classification"] = "recommendation",
        classes: Annotated[int, Field(ge=2)] = 4,
        split: Split | None = None,
        seed: Seed = 0,
        world: Seed | None = None,
    ) -> None:
        self.modalities = checked_names(modalities)
        self.users, self.items, self.clicks = users, items, clicks
        self.alphabet, self.tau, self.popularity = alphabet, tau, popularity
        self.situations = situations
        self.features, self.task, self.classes = features, task, classes
        self.split, self.seed = split or Ratio(seed=seed), seed
        self.world = seed if world is None else world
        self.missing = by_modality(modalities, "missing", missing, 0.0)
        if atoms is None:
            unique = by_modality(modalities, "uniqueness", uniqueness, 1.0)
            atoms = standard_atoms(modalities, redundancy, unique, synergy)
        self.atoms = resolve_atoms(atoms, modalities, alphabet, flip)
        self.writing = writings(
            modalities,
            dim=dim,
            nuisance=nuisance,
            noise=noise,
            difficulty=difficulty,
            scale=scale,
            tokens=tokens,
        )
        if features == "rendered":
            check_renderable(self._parts(), alphabet)
            check_unused(self.writing)
        if task == "recommendation" and clicks > items:
            raise FusionlabError(f"clicks: found {clicks} a user, expected at most {items} items")
        most = clicks if task == "recommendation" else 1
        if situations > most:
            raise FusionlabError(
                f"situations: found {situations}, expected at most {most}, the clicks of a user"
            )

    def load(self) -> Dataset:
        """Draw the catalogue; the same options give the same bits."""
        truth = self._truth()
        features = self._features(truth)
        item_ids = _ids("i", self.items)
        if self.task == "classification":
            return self._classification(truth, features, item_ids)
        users, items, situations = draw_clicks(truth, self.clicks, self.seed)
        frame = pl.DataFrame({"user": users, "item": items})
        context = (SITUATION,) if self.situations > 1 else ()
        told = [pl.Series(column_of(name), situations).cast(pl.String) for name in context]
        frame = frame.with_columns(told)
        assignment = self.split.assign(frame)
        content = [torch.from_numpy(part) for part in (users, items, assignment)]
        return Dataset(
            name="synthetic",
            item_ids=item_ids,
            features=features,
            interactions=split_clicks(
                frame, assignment, _ids("u", self.users), self.items, context
            ),
            labels=None,
            fingerprint=fingerprint(
                ["synthetic clicks", features, *content, *context_content(frame, context)]
            ),
            truth=truth,
            media=self._media(truth),
        )

    def _truth(self) -> Truth:
        codes, clean, observed = draw_codes(
            self.atoms, self.modalities, self.items, self.alphabet, self.seed
        )
        classify = self.task == "classification"
        class_of = None
        if classify:
            class_of = draw_classes(self.atoms, self.classes, self.alphabet, self.seed)
        return Truth(
            modalities=self.modalities,
            alphabet=self.alphabet,
            atoms=self.atoms,
            codes=codes,
            clean=clean,
            observed=observed,
            present=draw_presence(self.missing, self.items, self.seed),
            tastes=draw_tastes(self.atoms, 0 if classify else self.users, self.alphabet, self.seed),
            popularity=draw_popularity(self.popularity, self.items, self.seed),
            tau=self.tau,
            class_of=class_of,
            situations=self.situations,
        )

    def _features(self, truth: Truth) -> ItemFeatures | None:
        if self.features == "rendered":
            return None
        if self.features != "measured":
            return atoms_as_features(truth, additive=self.features == "additive_atoms")
        return write_features(truth, self.lifts(), self.seed)

    def _media(self, truth: Truth) -> dict[str, Media]:
        return render(truth, self.seed) if self.features == "rendered" else {}

    def _parts(self) -> dict[str, int]:
        """J, the parts of the code of each modality."""
        return {name: sum(name in atom.over for atom in self.atoms) for name in self.modalities}

    def lifts(self) -> dict[str, Lift]:
        """The map from codes to features of each modality."""
        return {
            name: Lift.draw(
                self.world,
                name,
                parts,
                self.alphabet,
                self.writing[name],
            )
            for name, parts in self._parts().items()
        }

    def _classification(
        self, truth: Truth, features: ItemFeatures | None, item_ids: pl.Series
    ) -> Dataset:
        assert truth.class_of is not None
        classes = truth.class_of[tuple(truth.observed.T)]
        rows = np.arange(self.items)
        frame = pl.DataFrame({"user": np.zeros_like(rows), "item": rows})
        assignment = torch.from_numpy(self.split.assign(frame))
        parts = []
        for part in (TRAIN, VALID, TEST):
            chosen = (assignment == part).nonzero()[:, 0]
            if len(chosen) == 0:
                raise FusionlabError(
                    f"split: found no item in {NAMES[part]}, expected at least one "
                    f"({self.items} items in all)"
                )
            parts.append(Labelled(chosen, classes[chosen]))
        names = [f"class {label}" for label in range(self.classes)]
        return Dataset(
            name="synthetic",
            item_ids=item_ids,
            features=features,
            interactions=None,
            labels=Labels(names, parts[TRAIN], parts[VALID], Sealed("test labels", parts[TEST])),
            fingerprint=fingerprint(["synthetic classes", features, classes, assignment]),
            truth=truth,
            media=self._media(truth),
        )


def _ids(prefix: str, count: int) -> pl.Series:
    return pl.select(pl.format(prefix + "{}", pl.int_range(count)).alias("id")).to_series()
