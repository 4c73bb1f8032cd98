"""Controls: the rows that every table carries, and the ceilings of a known answer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from fusionlab.config import Experiment
from fusionlab.data.dataset import Dataset
from fusionlab.recommenders.contract import RECOMMENDERS
from fusionlab.registry import Registry
from fusionlab.studies.inputs import readable
from fusionlab.studies.record import Kind


class Control(ABC):
    """A row beside the strategies: the base experiment with something taken away (or given).

    ``variants`` are changes of the base experiment, by label. Where there are several, the row
    shows the one that is best on *validation*; where there is none, there is no row.
    """

    name: ClassVar[str]
    label: str
    kind: ClassVar[Kind] = "control"

    @abstractmethod
    def variants(self, base: Experiment, dataset: Dataset) -> Mapping[str, dict[str, Any]]:
        """Dotted changes of ``base`` by label."""


CONTROLS: Registry[Control] = Registry("control", Control, "fusionlab.studies.controls")


@CONTROLS.register("popularity")
class Popularity(Control):
    """The most clicked items for everyone."""

    label = "popularity"

    def variants(self, base: Experiment, dataset: Dataset) -> Mapping[str, dict[str, Any]]:
        """Another recommender."""
        return {self.label: {"recommender": "popularity"}}


@CONTROLS.register("random")
class Random(Control):
    """A random order for everyone."""

    label = "random"

    def variants(self, base: Experiment, dataset: Dataset) -> Mapping[str, dict[str, Any]]:
        """Another recommender."""
        return {self.label: {"recommender": "random"}}


@CONTROLS.register("content_knn")
class ContentKnn(Control):
    """Items whose features are like those of the history: neither training nor fusion."""

    label = "content kNN"

    def variants(self, base: Experiment, dataset: Dataset) -> Mapping[str, dict[str, Any]]:
        """Another recommender."""
        return {self.label: {"recommender": "content_knn"}}


@CONTROLS.register("ids_only")
class IdsOnly(Control):
    """The base recommender's counterpart on IDs: the same training, width and clicks, no content.

    That is matrix factorisation, or what the recommender names (`Recommender.on_ids`), with the
    options that both have.

    Options:
        l2: weight of the squared factors (default: that of the base recommender if it has one)
    """

    label = "IDs only"

    def __init__(self, *, l2: float | None = None) -> None:
        self.l2 = l2

    def variants(self, base: Experiment, dataset: Dataset) -> Mapping[str, dict[str, Any]]:
        """Another recommender."""
        name = RECOMMENDERS[base.recommender.name].on_ids
        options = base.recommender.model_dump(mode="json")
        known = RECOMMENDERS.schema(name).model_fields
        shared = {key: value for key, value in options.items() if key in known}
        given = {} if self.l2 is None else {"l2": self.l2}
        return {self.label: {"recommender": {**shared, **given, "name": name}}}


@CONTROLS.register("best_single_modality")
class BestSingleModality(Control):
    """The base experiment in a world with one modality, for each of them."""

    label = "best single modality"

    def variants(self, base: Experiment, dataset: Dataset) -> Mapping[str, dict[str, Any]]:
        """One variant a modality."""
        names = readable(base, dataset.require_features(self.label)).modalities
        return {f"{self.label} ({name})": {"inputs.modalities": [name]} for name in names}


@CONTROLS.register("single_modality")
class SingleModality(Control):
    """The base experiment in a world with this modality alone.

    Options:
        modality: its name
    """

    def __init__(self, *, modality: str) -> None:
        self.modality = modality

    def variants(self, base: Experiment, dataset: Dataset) -> Mapping[str, dict[str, Any]]:
        """One variant."""
        return {f"{self.modality} alone": {"inputs.modalities": [self.modality]}}


@CONTROLS.register("shuffled_features")
class ShuffledFeatures(Control):
    """The base experiment with whole feature rows dealt to other items.

    Options:
        modalities: those whose rows are dealt, together; the others stay (default: all)
    """

    label = "shuffled features"

    def __init__(self, *, modalities: tuple[str, ...] | None = None) -> None:
        self.modalities = modalities

    def variants(self, base: Experiment, dataset: Dataset) -> Mapping[str, dict[str, Any]]:
        """The same items with others' features."""
        if self.modalities is None:
            return {self.label: {"inputs.shuffled": True}}
        label = f"shuffled {' + '.join(self.modalities)}"
        return {label: {"inputs.shuffled": self.modalities}}


@CONTROLS.register("oracle")
class Oracle(Control):
    """A ceiling of synthetic data: true tastes, and the true atoms or what is seen of them.

    Options:
        observes: only what these modalities tell of the atoms (default: the atoms themselves)
        additive: only what sums over single modalities can tell
    """

    label = "oracle"
    kind = "ceiling"

    def __init__(self, *, observes: tuple[str, ...] | None = None, additive: bool = False) -> None:
        self.observes, self.additive = observes, additive

    def variants(self, base: Experiment, dataset: Dataset) -> Mapping[str, dict[str, Any]]:
        """The oracle as recommender."""
        seen = ["additive atoms"] if self.additive else []
        seen += [" + ".join(self.observes)] if self.observes else []
        options = {"observes": self.observes, "additive": self.additive}
        return {", ".join([self.label, *seen]): {"recommender": {"name": "oracle", **options}}}


@CONTROLS.register("achievable")
class Achievable(Control):
    """A ceiling of synthetic data: the base recommender fed the true atoms as features."""

    label = "achievable, all atoms"
    kind = "ceiling"

    def variants(self, base: Experiment, dataset: Dataset) -> Mapping[str, dict[str, Any]]:
        """The same clicks, other features."""
        return {self.label: {"dataset.features": "atoms", "fusion": "concat"} | _unencoded(base)}


@CONTROLS.register("achievable_additive")
class AchievableAdditive(Control):
    """A ceiling of synthetic data: only the atoms that single modalities tell of."""

    label = "achievable, additive atoms"
    kind = "ceiling"

    def variants(self, base: Experiment, dataset: Dataset) -> Mapping[str, dict[str, Any]]:
        """The same clicks, other features; no row where every atom is a synergy."""
        if dataset.truth is not None and not any(a.kind == "copy" for a in dataset.truth.atoms):
            return {}
        fed = {"dataset.features": "additive_atoms", "fusion": "concat"}
        return {self.label: fed | _unencoded(base)}


def _unencoded(base: Experiment) -> dict[str, dict[str, None]]:
    """Atoms stand in the place of what would be encoded."""
    return {"encoders": dict.fromkeys(base.encoders)} if base.encoders else {}
