"""The sections of an experiment, as validated objects."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

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

from fusionlab.errors import ConfigError, one_of
from fusionlab.layers import changed
from fusionlab.registry import Part, PartOf
from fusionlab.schema import Section, Seed, validate
from fusionlab.spaces import Range, Spaces

Share = Annotated[float, Field(ge=0, lt=1)]
Rate = Annotated[float, Field(ge=0, le=1)]
Names = Annotated[tuple[str, ...], Field(min_length=1)]
Among = Literal["random", "unpopular", "popular"]
VALIDATION_ALONE = (
    "training and tuning are judged by evaluation.select on validation alone; test is sealed until "
    "the final evaluation"
)
SOURCE_KEYS = ("dataset", "encoders", "training", "balancer", "augmentation", "evaluation")
"""What may be different in the experiment that a model is taken over from."""


def part(family: str, name: str, description: str) -> Any:
    """A field that holds a part, ``name`` unless the configuration says otherwise."""
    return Field(default_factory=lambda: PartOf(family).parse(name), description=description)


def section(model: type[BaseModel]) -> Any:
    """A field that holds a section with its own defaults."""
    return Field(default_factory=lambda: validate(model, {}))


class Options(BaseModel):
    """A section of the configuration: unknown keys are refused, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    aside: ClassVar[str] = ""
    """What one who writes an unknown key here is told beside the keys that there are."""


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
    seed: Seed = Field(0, description="of the draws; a run's seed changes nothing of them")


class Noise(Options):
    """Noise on features, in standard deviations of the modality over train items."""

    train: NonNegativeFloat = Field(0.0, description="in the catalogue that is trained on")
    test: NonNegativeFloat = Field(0.0, description="wherever the model is judged")
    modalities: Names | None = Field(None, description="that are noisy; default: each")
    seed: Seed = Field(0, description="of the noise; a run's seed changes nothing of it")


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
    context: tuple[str, ...] | None = Field(
        None,
        description="of the dataset's context columns those that the model is told of; default: "
        "all. It is judged in the situations of all of them, `[]` too (a control)",
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

    space: ClassVar[Spaces] = {
        "learning_rate": Range(low=1e-4, high=3e-2, log=True),
        "weight_decay": Range(low=1e-6, high=1e-1, log=True),
    }
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
    micro_batch: PositiveInt | Literal["auto"] | None = Field(
        None,
        description="compute a step's gradient in parts of at most so many clicks (or labelled "
        "items), where the memory does not hold it whole; auto: half as many whenever it is full; "
        "default: in one",
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

    aside = VALIDATION_ALONE

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
    cold: bool = Field(
        False,
        description="judge each metric of a list also `on cold items`, `on warm items`, `of cold "
        "users` and `of warm users`: those without and with a train click",
    )
    one_missing: bool = Field(
        False,
        description="judge, at the end, also with each modality masked in the whole catalogue: "
        "`NAME without MODALITY`, and `NAME one missing`, the mean over the dataset's modalities",
    )
    curves: Annotated[Curves, Section(Curves)] = section(Curves)
    select: str | None = Field(None, description="default: ndcg of the longest list, or accuracy")

    @field_validator("cutoffs")
    @classmethod
    def _each_once(cls, cutoffs: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(cutoffs)) < len(cutoffs):
            raise ValueError(f"found {list(cutoffs)}, expected each cut-off once")
        return cutoffs


class Transfer(Options):
    """Begin with the model that the same experiment gives on another catalogue."""

    source: dict[str, Any] = Field(
        description="what is different of the source experiment: dataset, and encoders (columns "
        "they read), training, balancer, augmentation or evaluation; dotted keys will do"
    )
    tune: bool = Field(
        False, description="go on training on this catalogue; false: judge the model as it came"
    )

    @field_validator("source")
    @classmethod
    def _changes_the_data_and_no_model(cls, source: dict[str, Any]) -> dict[str, Any]:
        found = changed({}, source)
        for key in found:
            if key not in SOURCE_KEYS:
                problem = f"the rest of both experiments is the same: {one_of(key, SOURCE_KEYS)}"
                raise ConfigError([(("source", key), problem)])
        if "dataset" not in found:
            raise ConfigError([(("source", "dataset"), "this key is required")])
        return found


DEVICE = r"^(cpu|cuda(:\d{1,3})?)$"
MOST_THREADS = 1024
"""torch takes any number, and ends the process where the system does not."""


class Runtime(Options):
    """Where and how exactly a run computes. Part of a run's identity: other bits come out."""

    device: str = Field("cpu", pattern=DEVICE, description="cpu, cuda or cuda:N")
    threads: PositiveInt = Field(
        1, le=MOST_THREADS, description="threads of one run; run several runs at once"
    )
    precision: Literal["fp32", "bf16"] = Field("fp32", description="bf16: autocast in training")
    features: Literal["fp32", "bf16"] = Field("fp32", description="type the features are held in")
    compile: bool = Field(False, description="torch.compile the fusion, where there is one")
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
