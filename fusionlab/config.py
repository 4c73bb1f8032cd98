"""Experiments and studies as validated objects: YAML in, overrides on top, one clear error out.

Any YAML file may name a ``base:`` file, which it extends. Overrides are ``key.sub=value`` strings.
A part (a mapping with a ``name``) that changes its name drops the options of the old one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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

    modalities: tuple[str, ...] | None = Field(None, description="keep only these; default: all")
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
    cutoffs: tuple[PositiveInt, ...] = Field((10, 20), description="lengths of the lists")
    select: str | None = Field(None, description="default: ndcg at the last cutoff, or accuracy")


class Runtime(Options):
    """Where and how exactly a run computes. Part of a run's identity: other bits come out."""

    device: str = Field("cpu", description="cpu, cuda or cuda:N")
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
    data = read(file, overrides)
    data["plugins"] = _load_plugins(data, plugins)
    return _located(Experiment, data, file, overrides)


def load_study(file: Path, overrides: Sequence[str] = (), plugins: Sequence[str] = ()) -> Study:
    """Read a study from YAML, its base files and command-line overrides."""
    data = read(file, overrides)
    experiment = data.get("experiment")
    if isinstance(experiment, dict):
        experiment["plugins"] = _load_plugins(experiment, plugins)
    return _located(Study, data, file, overrides)


def experiment_from(data: Mapping[str, Any]) -> Experiment:
    """An experiment from plain data (a record, or another process), its plug-ins loaded first."""
    _load_plugins(data, ())
    return validate(Experiment, data)


def read(file: Path, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Plain data of a YAML file merged over its ``base:`` file, with the overrides on top."""
    data: Any = _read_yaml(file, ())
    for override in overrides:
        key, equals, _ = override.partition("=")
        if not equals or not key:
            raise ConfigError([((), f"found {override!r}, expected key.sub=value")], "command line")
        try:
            change = OmegaConf.to_container(OmegaConf.from_dotlist([override]))
        except (OmegaConfBaseException, yaml.YAMLError) as error:
            raise ConfigError([((key,), str(error))], "command line") from None
        data = merge(data, change)
    return dict(data)


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


def _read_yaml(file: Path, above: tuple[Path, ...]) -> dict[str, Any]:
    if not file.is_file():
        raise FusionlabError(f"{file}: no such file")
    if file.resolve() in above:
        raise FusionlabError(f"{file}: base files form a circle")
    try:
        data: Any = OmegaConf.to_container(OmegaConf.load(file), resolve=True)
    except (yaml.YAMLError, OmegaConfBaseException, UnicodeDecodeError) as error:
        raise FusionlabError(f"{file}: not valid YAML: {error}") from None
    if not isinstance(data, dict):
        raise FusionlabError(f"{file}: found {type(data).__name__}, expected a mapping of keys")
    base = data.pop("base", None)
    if base is None:
        return data
    return merge(_read_yaml(file.parent / str(base), (*above, file.resolve())), data)


def _load_plugins(data: Mapping[str, Any], extra: Sequence[str]) -> list[str]:
    plugins = list(dict.fromkeys([*data.get("plugins", ()), *extra]))
    for plugin in plugins:
        load_plugin(str(plugin))
    return plugins


def _located(model: type[M], data: Any, file: Path, overrides: Sequence[str]) -> M:
    try:
        return validate(model, data)
    except ConfigError as error:
        changed = [override.partition("=")[0] for override in overrides]
        typed = any(".".join(path).startswith(key) for path, _ in error.problems for key in changed)
        raise error.in_file("command line" if typed else str(file)) from None
