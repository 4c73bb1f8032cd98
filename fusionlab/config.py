"""Experiments and studies as validated objects: YAML in, overrides on top, one clear error out.

Any YAML file may name a ``base:`` file, which it extends. Overrides are ``key.sub=value`` strings.
A part (a mapping with a ``name``) that changes its name drops the options of the old one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    field_validator,
)

from fusionlab.errors import ConfigError, FusionlabError
from fusionlab.registry import Part, PartOf, Section, load_plugin, validate

M = TypeVar("M", bound=BaseModel)
Share = Annotated[float, Field(ge=0, lt=1)]


def part(family: str, name: str, description: str) -> Any:
    """A field that holds a part, ``name`` unless the configuration says otherwise."""
    return Field(default_factory=lambda: PartOf(family).parse(name), description=description)


def section(model: type[BaseModel]) -> Any:
    """A field that holds a section with its own defaults."""
    return Field(default_factory=lambda: validate(model, {}))


class Options(BaseModel):
    """A section of the configuration: unknown keys are refused, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Inputs(Options):
    """What the fusion gets to see of the items."""

    modalities: Annotated[tuple[str, ...], Field(min_length=1)] | None = Field(
        None, description="keep only these; default: all"
    )
    scaling: Literal["none", "modality", "feature"] = Field(
        "modality", description="centre and scale by train items: a modality or a column at a time"
    )
    shuffled: bool = Field(False, description="deal whole feature rows to other items (a control)")


class Training(Options):
    """How a model is trained. The loss sees train clicks, early stopping sees validation."""

    epochs: PositiveInt = Field(100, description="at most this many passes over the train clicks")
    batch_size: PositiveInt = Field(2048, description="clicks (or labelled items) a step")
    learning_rate: PositiveFloat = Field(1e-3, description="of AdamW")
    weight_decay: NonNegativeFloat = Field(0.0, description="decoupled, of AdamW")
    loss: Annotated[Part, PartOf("loss")] = part("loss", "bpr", "of ranking")
    negatives: PositiveInt = Field(1, description="items drawn for each click")
    modality_dropout: Share = Field(
        0.0,
        description="chance that an item loses a modality in a step; makes coalitions meaningful",
    )
    patience: PositiveInt = Field(
        10, description="validations without a better one before stopping"
    )
    validate_every: PositiveInt = Field(1, description="epochs between validations")


class Judging(Options):
    """Which metrics are computed, and which of them selects the epoch on validation."""

    metrics: tuple[str, ...] | None = Field(
        None, description="of ranking, default: all but AUC; classes always get accuracy, F1, ..."
    )
    cutoffs: tuple[PositiveInt, ...] = Field(
        (10, 20), min_length=1, description="lengths of the lists"
    )
    select: str | None = Field(None, description="default: ndcg of the longest list, or accuracy")


class Runtime(Options):
    """Where and how exactly a run computes. Part of a run's identity: other bits come out."""

    device: str = Field("cpu", pattern=r"^(cpu|cuda(:\d+)?)$", description="cpu, cuda or cuda:N")
    threads: PositiveInt = Field(1, description="threads of one run; run several runs at once")
    precision: Literal["fp32", "bf16"] = Field("fp32", description="bf16: autocast in training")
    features: Literal["fp32", "bf16"] = Field("fp32", description="type the features are held in")
    compile: bool = Field(False, description="torch.compile the fusion")


class Experiment(Options):
    """One run: a dataset, a fusion inside a recommender, how it is trained and judged."""

    task: Literal["recommendation", "classification"] = "recommendation"
    dataset: Annotated[Part, PartOf("dataset")]
    inputs: Annotated[Inputs, Section(Inputs)] = section(Inputs)
    dim: PositiveInt = Field(64, description="D, the width of an item view and of ID factors")
    fusion: Annotated[Part, PartOf("fusion")] = part("fusion", "concat", "the strategy")
    recommender: Annotated[Part, PartOf("recommender")] = part(
        "recommender", "content", "what users and item views become scores by"
    )
    training: Annotated[Training, Section(Training)] = section(Training)
    evaluation: Annotated[Judging, Section(Judging)] = section(Judging)
    runtime: Annotated[Runtime, Section(Runtime)] = section(Runtime)
    seed: int = Field(
        0, ge=0, description="of initialisation and sampling; data seeds are separate"
    )
    plugins: tuple[str, ...] = Field((), description="files or modules that register parts")

    @property
    def selecting(self) -> str:
        """The validation metric that selects the epoch (and, in a study, among variants)."""
        if self.evaluation.select is not None:
            return self.evaluation.select
        classes = self.task == "classification"
        return "accuracy" if classes else f"ndcg@{max(self.evaluation.cutoffs)}"

    def varied(self, changes: Mapping[str, Any]) -> Experiment:
        """A copy with dotted keys changed, e.g. ``{"fusion": "gated", "training.epochs": 5}``."""
        data = self.model_dump(mode="json")
        for key, value in changes.items():
            data = merge(data, nest(key, value))
        return validate(Experiment, data)


class ReportOptions(Options):
    """What the tables show."""

    metrics: tuple[str, ...] = Field((), description="columns; default: those of the evaluation")
    main: str | None = Field(None, description="metric that selects and is tested; default: select")
    reference: str | None = Field(None, description="row to test against; default: best control")
    floor: str | None = Field(None, description="row whose gain is 0; default: popularity")
    ceiling: str | None = Field(None, description="row whose gain is 1; default: achievable")


class Study(Options):
    """A table: a base experiment varied along axes, over seeds, beside its controls."""

    title: str
    experiment: Annotated[Experiment, Section(Experiment)]
    axes: dict[str, tuple[Any, ...]] = Field(default_factory=dict)
    seeds: tuple[int, ...] = Field((0, 1, 2, 3, 4), min_length=1)
    controls: tuple[Annotated[Part, PartOf("control")], ...] = ()
    report: Annotated[ReportOptions, Section(ReportOptions)] = section(ReportOptions)

    @field_validator("axes", mode="before")
    @classmethod
    def _dotted(cls, axes: Any) -> Any:
        """``{training: {epochs: [1, 2]}}`` is ``{training.epochs: [1, 2]}``."""
        if not isinstance(axes, Mapping):
            return axes
        flat: dict[str, Any] = {}
        for key, value in axes.items():
            inner = cls._dotted(value) if isinstance(value, Mapping) else {"": value}
            flat |= {f"{key}.{rest}".rstrip("."): values for rest, values in inner.items()}
        return flat


def load_experiment(
    file: Path, overrides: Sequence[str] = (), plugins: Sequence[str] = ()
) -> Experiment:
    """Read an experiment from YAML, its base files and command-line overrides."""
    layers = _layers(file, overrides)
    data = _merged(layers)
    if "experiment" in data:
        raise FusionlabError(
            f"{file}: found a study, expected an experiment: use `fusionlab study`"
        )
    data["plugins"] = _load_plugins(data, plugins)
    return _validated(Experiment, data, layers)


def load_study(file: Path, overrides: Sequence[str] = (), plugins: Sequence[str] = ()) -> Study:
    """Read a study from YAML, its base files and command-line overrides."""
    layers = _layers(file, overrides)
    data = _merged(layers)
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


def read(file: Path, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Plain data of a YAML file merged over its ``base:`` file, with the overrides on top."""
    return _merged(_layers(file, overrides))


def merge(base: Any, change: Any) -> Any:
    """Merge plain data; ``change`` wins. Mappings merge by key, everything else is replaced.

    A mapping with a ``name`` is a part: when the name changes, the old part's options are dropped.
    """
    if isinstance(base, str) and isinstance(change, Mapping):
        base = {"name": base}
    if isinstance(base, Mapping) and "name" in base and isinstance(change, str):
        change = {"name": change}
    if not isinstance(base, Mapping) or not isinstance(change, Mapping):
        return change
    if "name" in base and change.get("name", base["name"]) != base["name"]:
        return dict(change)
    merged = dict(base)
    for key, value in change.items():
        merged[key] = merge(base[key], value) if key in base else value
    return merged


def nest(key: str, value: Any) -> dict[str, Any]:
    """``nest("a.b", 1)`` is ``{"a": {"b": 1}}``."""
    for part in reversed(key.split(".")):
        value = {part: value}
    return value


@dataclass(frozen=True)
class _Layer:
    """Plain data and where it was written; a later layer wins."""

    source: str
    data: dict[str, Any]

    def depth(self, path: tuple[str, ...]) -> int:
        """How many keys of ``path`` stand here."""
        value: Any = self.data
        for depth, key in enumerate(path):
            if isinstance(value, str) and key == "name":
                return depth + 1  # a part may be written as its bare name
            if not isinstance(value, Mapping) or key not in value:
                return depth
            value = value[key]
        return len(path)


def _layers(file: Path, overrides: Sequence[str]) -> list[_Layer]:
    layers = _file_layers(file, ())
    for override in overrides:
        key, equals, _ = override.partition("=")
        if not equals or not key:
            problem = f"found {override!r}, expected key.sub=value"
            raise ConfigError([((), problem, "command line")])
        try:
            change: Any = OmegaConf.to_container(OmegaConf.from_dotlist([override]))
        except (OmegaConfBaseException, yaml.YAMLError) as error:
            raise ConfigError([((key,), str(error), "command line")]) from None
        layers.append(_Layer("command line", change))
    return layers


def _file_layers(file: Path, above: tuple[Path, ...], inside: tuple[str, ...] = ()) -> list[_Layer]:
    """The file, below it its base, and the base that its experiment names; lowest first."""
    if not file.is_file():
        raise FusionlabError(f"{file}: no such file")
    if file.resolve() in above:
        raise FusionlabError(f"{file}: base files form a circle")
    data, above = _read_yaml(file), (*above, file.resolve())
    layers = []
    if "base" in data:
        layers += _file_layers(file.parent / str(data.pop("base")), above, inside)
    experiment = data.get("experiment")
    if isinstance(experiment, dict) and "base" in experiment:
        base = file.parent / str(experiment.pop("base"))
        layers += _file_layers(base, above, (*inside, "experiment"))
    return [*layers, _Layer(str(file), nest(".".join(inside), data) if inside else data)]


def _read_yaml(file: Path) -> dict[str, Any]:
    try:
        data: Any = OmegaConf.to_container(OmegaConf.load(file), resolve=True)
    except (yaml.YAMLError, OmegaConfBaseException, UnicodeDecodeError) as error:
        raise FusionlabError(f"{file}: not valid YAML: {error}") from None
    if not isinstance(data, dict):
        raise FusionlabError(f"{file}: found {type(data).__name__}, expected a mapping of keys")
    return data


def _merged(layers: Sequence[_Layer]) -> dict[str, Any]:
    data: Any = {}
    for layer in layers:
        data = merge(data, layer.data)
    return dict(data)


def _load_plugins(data: Mapping[str, Any], extra: Sequence[str]) -> list[str]:
    named = data.get("plugins", ())
    if not isinstance(named, list | tuple):
        raise ConfigError([(("plugins",), f"found {named!r}, expected a list of files or modules")])
    plugins = [str(plugin) for plugin in dict.fromkeys([*named, *extra])]
    for plugin in plugins:
        load_plugin(plugin)
    return plugins


def _validated(model: type[M], data: Any, layers: Sequence[_Layer]) -> M:
    """Validate, and say of each mistake in which layer it was written."""

    def written(path: tuple[str, ...]) -> str:
        return max(reversed(layers), key=lambda layer: layer.depth(path)).source

    try:
        return validate(model, data)
    except ConfigError as error:
        raise error.written_in(written) from None
