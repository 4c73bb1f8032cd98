"""Experiments and studies as validated objects: YAML in, one clear error out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationInfo,
    field_validator,
    model_validator,
)

from fusionlab.errors import ConfigError, FusionlabError
from fusionlab.layers import Layer, merge, merged, nest, read_layers
from fusionlab.plugins import load_plugin
from fusionlab.registry import Part, PartOf, PartsOf
from fusionlab.schema import Section, Sections, validate

M = TypeVar("M", bound=BaseModel)
Share = Annotated[float, Field(ge=0, lt=1)]
Rate = Annotated[float, Field(ge=0, le=1)]
Names = Annotated[tuple[str, ...], Field(min_length=1)]
Among = Literal["random", "unpopular", "popular"]


def part(family: str, name: str, description: str) -> Any:
    """A field that holds a part, ``name`` unless the configuration says otherwise."""
    return Field(default_factory=lambda: PartOf(family).parse(name), description=description)


def section(model: type[BaseModel]) -> Any:
    """A field that holds a section with its own defaults."""
    return Field(default_factory=lambda: validate(model, {}))


class Options(BaseModel):
    """A section of the configuration: unknown keys are refused, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Missing(Options):
    """Which share of the items lacks a modality; the same items in every row and seed."""

    train: Rate = Field(0.0, description="in the catalogue that the model is trained on")
    test: Rate = Field(0.0, description="wherever it is judged, on validation too")
    modalities: Names | None = Field(None, description="that get lost; default: each")
    among: Among = Field(
        "random",
        description="who loses it first: items drawn for each modality apart, or those with the "
        "fewest or the most train clicks",
    )
    seed: int = Field(0, ge=0, description="of the draws; a run's seed changes nothing of them")


class Noise(Options):
    """Noise on features, in standard deviations of the modality over train items."""

    train: NonNegativeFloat = Field(0.0, description="in the catalogue that is trained on")
    test: NonNegativeFloat = Field(0.0, description="wherever the model is judged")
    modalities: Names | None = Field(None, description="that are noisy; default: each")
    seed: int = Field(0, ge=0, description="of the noise; a run's seed changes nothing of it")


class Inputs(Options):
    """What the fusion gets to see of the items."""

    modalities: Annotated[tuple[str, ...], Field(min_length=1)] | None = Field(
        None, description="keep only these; default: all"
    )
    scaling: Literal["none", "modality", "feature"] = Field(
        "modality", description="centre and scale by train items: a modality or a column at a time"
    )
    energy: float | None = Field(
        None,
        gt=0,
        le=1,
        description="rotate to the principal axes of train items and keep those that hold this "
        "share of the energy; default: leave the columns as they are",
    )
    shuffled: bool | Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        False,
        description="deal whole feature rows to other items, of all modalities or of these "
        "together (a control)",
    )
    missing: Annotated[Missing, Section(Missing)] = section(Missing)
    noise: Annotated[Noise, Section(Noise)] = section(Noise)
    imputer: Annotated[Part, PartOf("imputer")] = part(
        "imputer", "none", "what stands in for a missing modality of an item that has another"
    )


class Encoding(Options):
    """How one column of raw media becomes a modality."""

    of: str = Field(description="the column of raw media")
    encoder: Annotated[Part, PartOf("encoder")] = Field(description="what encodes it")
    batch_size: PositiveInt = Field(32, description="items a step")
    precision: Literal["fp32", "bf16"] = Field("fp32", description="bf16: autocast")
    store: Literal["fp32", "fp16"] = Field("fp32", description="type that features are stored in")
    trained: bool = Field(
        False, description="train the encoder with the recommender; nothing is stored then"
    )
    learning_rate: PositiveFloat | None = Field(
        None, description="of a trained encoder; default: training.learning_rate"
    )

    @field_validator("learning_rate")
    @classmethod
    def _only_if_trained(cls, rate: float | None, info: ValidationInfo) -> float | None:
        if rate is not None and not info.data.get("trained"):
            raise ValueError("a frozen encoder learns nothing: set `trained: true` or leave it out")
        return rate


class Training(Options):
    """How a model is trained. The loss sees train clicks, early stopping sees validation."""

    epochs: PositiveInt = Field(100, description="at most this many passes over the train clicks")
    batch_size: PositiveInt = Field(2048, description="clicks (or labelled items) a step")
    learning_rate: PositiveFloat = Field(1e-3, description="of AdamW")
    weight_decay: NonNegativeFloat = Field(0.0, description="decoupled, of AdamW")
    loss: Annotated[Part, PartOf("loss")] = part("loss", "bpr", "of ranking")
    negatives: PositiveInt = Field(1, description="items drawn for each click")
    sampling: Literal["uniform", "in_batch"] = Field(
        "uniform",
        description="of negatives: any items that the user has not clicked, or those of the "
        "batch's other clicks, with softmax scores corrected for their popularity",
    )
    pool: int | None = Field(
        None,
        ge=2,
        description="of ranking: at most so many distinct items a step, clicked and drawn alike, "
        "which bounds the work of an expensive fusion; default: as many as the batch has",
    )
    modality_dropout: Share = Field(
        0.0,
        description="chance that an item loses a modality in a step; makes coalitions meaningful",
    )
    signals_every: NonNegativeInt = Field(
        25,
        description="steps from one reading of each modality's own loss, certainty and gradient to "
        "the next, the first of an epoch included; 0: never. It moves no weight",
    )
    patience: PositiveInt = Field(
        10, description="validations without a better one before stopping"
    )
    validate_every: PositiveInt = Field(1, description="epochs between validations")


class Curves(Options):
    """Judge the trained model again, at the end, in worlds that get worse and worse."""

    missing: tuple[Rate, ...] = Field(
        (), description="shares of items that lack the modalities: `NAME at 25% missing`"
    )
    noise: tuple[NonNegativeFloat, ...] = Field((), description="levels: `NAME at noise 0.5`")
    modalities: Names | None = Field(None, description="lost or noisy, all at once; default: all")
    among: Among = Field("random", description="who loses a modality first")

    @field_validator("missing", "noise")
    @classmethod
    def _rising(cls, rates: tuple[float, ...]) -> tuple[float, ...]:
        if len(rates) == 1 or list(rates) != sorted(set(rates)):
            raise ValueError("expected at least two rates, each above the one before")
        return rates


class Judging(Options):
    """Which metrics are computed, and which of them selects the epoch on validation."""

    metrics: tuple[str, ...] | None = Field(
        None, description="of ranking, default: all but AUC; classes always get accuracy, F1, ..."
    )
    cutoffs: tuple[PositiveInt, ...] = Field(
        (10, 20), min_length=1, description="lengths of the lists"
    )
    users: PositiveInt | None = Field(
        None,
        description="rank for this many random users, the same in every row and seed; default: all",
    )
    one_missing: bool = Field(
        False,
        description="judge, at the end, also with each modality masked in the whole catalogue: "
        "`NAME without MODALITY`, and `NAME one missing`, the mean over the dataset's modalities",
    )
    curves: Annotated[Curves, Section(Curves)] = section(Curves)
    select: str | None = Field(None, description="default: ndcg of the longest list, or accuracy")


class Runtime(Options):
    """Where and how exactly a run computes. Part of a run's identity: other bits come out."""

    device: str = Field("cpu", pattern=r"^(cpu|cuda(:\d+)?)$", description="cpu, cuda or cuda:N")
    threads: PositiveInt = Field(1, description="threads of one run; run several runs at once")
    precision: Literal["fp32", "bf16"] = Field("fp32", description="bf16: autocast in training")
    features: Literal["fp32", "bf16"] = Field("fp32", description="type the features are held in")
    compile: bool = Field(False, description="torch.compile the fusion")
    cuda_graphs: bool = Field(
        False,
        description="compile the fusion and replay its kernels as CUDA graphs; the items of a step "
        "are padded to a multiple of 512, so that few graphs serve all steps",
    )

    @model_validator(mode="after")
    def _graphs_need_cuda(self) -> Runtime:
        if self.cuda_graphs and self.device == "cpu":
            raise ValueError("cuda_graphs: found true on device 'cpu', expected device: cuda")
        return self


class Experiment(Options):
    """One run: a dataset, a fusion inside a recommender, how it is trained and judged."""

    task: Literal["recommendation", "classification"] = "recommendation"
    dataset: Annotated[Part, PartOf("dataset")]
    encoders: Annotated[dict[str, Encoding | None], Sections(Encoding)] = Field(
        default_factory=dict,
        description="modalities that are encoded from raw media, by name; null: not this one",
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
    runtime: Annotated[Runtime, Section(Runtime)] = section(Runtime)
    seed: int = Field(
        0, ge=0, description="of initialisation and sampling; data seeds are separate"
    )
    plugins: tuple[str, ...] = Field((), description="files or modules that register parts")

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
        data = self.model_dump(mode="json")
        for key, value in changes.items():
            data = merge(data, nest(key, value))
        return validate(Experiment, data)


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
    layers = read_layers(file, overrides)
    data = merged(layers)
    if "experiment" in data:
        raise FusionlabError(
            f"{file}: found a study, expected an experiment: use `fusionlab study`"
        )
    data["plugins"] = _load_plugins(data, plugins)
    return _validated(Experiment, data, layers)


def load_config(
    file: Path, overrides: Sequence[str] = (), plugins: Sequence[str] = ()
) -> Experiment | Study:
    """Read whichever of the two a file is."""
    study = "experiment" in merged(read_layers(file, overrides))
    return (load_study if study else load_experiment)(file, overrides, plugins)


def load_study(file: Path, overrides: Sequence[str] = (), plugins: Sequence[str] = ()) -> Study:
    """Read a study from YAML, its base files and command-line overrides."""
    layers = read_layers(file, overrides)
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
