"""Experiments and studies as validated objects: YAML in, one clear error out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    Field,
    PositiveInt,
    field_validator,
    model_validator,
)

from fusionlab.errors import ConfigError, FusionlabError
from fusionlab.layers import Layer, changed, dotted, merged, read_layers
from fusionlab.plugins import load_plugin
from fusionlab.registry import Part, PartOf, PartsOf
from fusionlab.schema import Section, Sections, Seed, validate
from fusionlab.sections import (
    Encoding,
    Inputs,
    Judging,
    Options,
    Runtime,
    Training,
    Transfer,
    part,
    section,
)
from fusionlab.tuning import Tuning

M = TypeVar("M", bound=BaseModel)


class Experiment(Options):
    """One run: a dataset, a fusion inside a recommender, how it is trained and judged."""

    task: Literal["recommendation", "classification"] = "recommendation"
    dataset: Annotated[Part, PartOf("dataset")]
    encoders: Annotated[dict[str, Encoding | None], Sections(Encoding)] = Field(
        default_factory=dict,
        description="modalities that are encoded from raw media, by name; null: not this one",
    )
    more_items: str | None = Field(
        None,
        description="a file of JSON lines: items beside those of the dataset, without clicks "
        "(docs/recommend.md)",
    )
    inputs: Annotated[Inputs, Section(Inputs)] = section(Inputs)
    dim: PositiveInt = Field(64, description="D, the width of an item view and of ID factors")
    fusion: Annotated[Part, PartOf("fusion")] = part("fusion", "concat", "the strategy")
    recommender: Annotated[Part, PartOf("recommender")] = part(
        "recommender", "content", "what users and item views become scores by"
    )
    balancer: Annotated[Part, PartOf("balancer")] = part(
        "balancer", "none", "what keeps one modality from being learned at the cost of others"
    )
    augmentation: Annotated[dict[str, Part | None], PartsOf("augmentation")] = Field(
        default_factory=dict,
        description="what a training step changes of a modality, by its name; null: nothing",
    )
    training: Annotated[Training, Section(Training)] = section(Training)
    evaluation: Annotated[Judging, Section(Judging)] = section(Judging)
    transfer: Annotated[Transfer, Section(Transfer)] | None = Field(
        None, description="begin with a model of another catalogue; null: from scratch"
    )
    runtime: Annotated[Runtime, Section(Runtime)] = section(Runtime)
    seed: Seed = Field(0, description="of initialisation and sampling; data seeds are separate")
    plugins: tuple[str, ...] = Field((), description="files or modules that register parts")

    @model_validator(mode="after")
    def _source_is_valid(self) -> Experiment:
        _ = self.source
        return self

    @property
    def source(self) -> Experiment | None:
        """The experiment whose model this one begins with, if any."""
        if self.transfer is None:
            return None
        try:
            return self.varied({"transfer": None, "more_items": None, **self.transfer.source})
        except ConfigError as error:
            raise error.under("transfer", "source") from None

    @property
    def encodings(self) -> dict[str, Encoding]:
        """The encoders that there are."""
        return {name: one for name, one in self.encoders.items() if one is not None}

    @property
    def augmentations(self) -> dict[str, Part]:
        """The augmentations that there are."""
        return {name: one for name, one in self.augmentation.items() if one is not None}

    @property
    def selecting(self) -> str:
        """The validation metric that selects the epoch (and, in a study, among variants)."""
        if self.evaluation.select is not None:
            return self.evaluation.select
        classes = self.task == "classification"
        return "accuracy" if classes else f"ndcg@{max(self.evaluation.cutoffs)}"

    def varied(self, changes: Mapping[str, Any]) -> Experiment:
        """A copy with dotted keys changed, e.g. ``{"fusion": "gated", "training.epochs": 5}``."""
        return validate(Experiment, changed(self.model_dump(mode="json"), changes))


class ReportOptions(Options):
    """What the tables show."""

    metrics: tuple[str, ...] = Field(
        (), description="columns; default: recall and NDCG of the longest list, and main"
    )
    main: str | None = Field(None, description="metric that selects and is tested; default: select")
    reference: str | None = Field(None, description="row to test against; default: best control")
    floor: str | None = Field(None, description="row whose gain is 0; default: popularity")
    ceiling: str | None = Field(None, description="row whose gain is 1; default: achievable")


class Study(Options):
    """A table: a base experiment varied along axes, over seeds, beside its controls."""

    title: str
    experiment: Annotated[Experiment, Section(Experiment)]
    axes: dict[str, Annotated[tuple[Any, ...], Field(min_length=1)]] = Field(default_factory=dict)
    design: Literal["grid", "one_at_a_time"] = Field(
        "grid", description="every combination of the axes, or the base and each other value alone"
    )
    drop: dict[str, dict[str, Any]] = Field(
        default_factory=dict,
        description="by label, changes that each switch one component of the base off",
    )
    seeds: tuple[Seed, ...] = Field(
        (0, 1, 2, 3, 4), min_length=1, description="of every row, whatever experiment.seed says"
    )
    controls: tuple[Annotated[Part, PartOf("control")], ...] = ()
    report: Annotated[ReportOptions, Section(ReportOptions)] = section(ReportOptions)
    tune: Annotated[Tuning, Section(Tuning)] | None = Field(
        None, description="tune every row before its seeds run; default: run rows as they are"
    )

    @field_validator("axes", mode="before")
    @classmethod
    def _dotted(cls, axes: Any) -> Any:
        """``{training: {epochs: [1, 2]}}`` is ``{training.epochs: [1, 2]}``."""
        return dotted(axes) if isinstance(axes, Mapping) else axes


def load_experiment(
    file: Path, overrides: Sequence[str] = (), plugins: Sequence[str] = ()
) -> Experiment:
    """Read an experiment from YAML, its base files and command-line overrides."""
    return _experiment(file, read_layers(file, overrides), plugins)


def load_study(file: Path, overrides: Sequence[str] = (), plugins: Sequence[str] = ()) -> Study:
    """Read a study from YAML, its base files and command-line overrides."""
    return _study(file, read_layers(file, overrides), plugins)


def load_config(
    file: Path, overrides: Sequence[str] = (), plugins: Sequence[str] = ()
) -> Experiment | Study:
    """Read whichever of the two a file is."""
    layers = read_layers(file, overrides)
    read = _study if "experiment" in merged(layers) else _experiment
    return read(file, layers, plugins)


def _experiment(file: Path, layers: Sequence[Layer], plugins: Sequence[str]) -> Experiment:
    data = merged(layers)
    if "experiment" in data:
        raise FusionlabError(
            f"{file}: found a study, expected an experiment: use `fusionlab study`"
        )
    data["plugins"] = _load_plugins(data, plugins)
    return _validated(Experiment, data, layers)


def _study(file: Path, layers: Sequence[Layer], plugins: Sequence[str]) -> Study:
    data = merged(layers)
    experiment = data.get("experiment")
    if isinstance(experiment, dict):
        experiment["plugins"] = _load_plugins(experiment, plugins)
    elif "dataset" in data:
        raise FusionlabError(f"{file}: found an experiment, expected a study: use `fusionlab run`")
    return _validated(Study, data, layers)


def experiment_from(data: Mapping[str, Any]) -> Experiment:
    """An experiment from plain data (a record, or another process), its plug-ins loaded first."""
    _load_plugins(data, ())
    return validate(Experiment, data)


def _load_plugins(data: Mapping[str, Any], extra: Sequence[str]) -> list[str]:
    named = data.get("plugins", ())
    if not isinstance(named, list | tuple):
        raise ConfigError([(("plugins",), f"found {named!r}, expected a list of files or modules")])
    plugins = [str(plugin) for plugin in dict.fromkeys([*named, *extra])]
    for plugin in plugins:
        load_plugin(plugin)
    return plugins


def _validated(model: type[M], data: Any, layers: Sequence[Layer]) -> M:
    """Validate, and say of each mistake in which layer it was written."""

    def written(path: tuple[str, ...]) -> str:
        return max(reversed(layers), key=lambda layer: layer.depth(path)).source

    try:
        return validate(model, data)
    except ConfigError as error:
        raise error.written_in(written) from None
