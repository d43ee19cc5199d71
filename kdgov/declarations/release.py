"""The release declaration (``schema: kdgov.release/1``): one file that says what is to be released, from what, and how it is judged."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, ValidationInfo, field_validator, model_validator

from kdgov.declarations.data_parts.data_use import Columns
from kdgov.declarations.data_parts.hub_data import HubData
from kdgov.declarations.distillation import Distillation
from kdgov.declarations.endpoint_declaration import Endpoint
from kdgov.declarations.load import Declared
from kdgov.declarations.release_parts.accountable import Accountable
from kdgov.declarations.release_parts.allowed_hosts import HostName
from kdgov.declarations.release_parts.endpoint_terms import terms_ask_the_teacher
from kdgov.declarations.release_parts.evaluation_settings import EvaluationSettings
from kdgov.declarations.release_parts.further_teachers import licences_of_further_teachers
from kdgov.declarations.release_parts.mitigations import Mitigation
from kdgov.declarations.release_parts.organization import Organization
from kdgov.declarations.release_parts.parts_kept import KeptLayers, Prune, refuse_mismatch
from kdgov.declarations.release_parts.price import Price as Price
from kdgov.declarations.release_parts.production_inputs import ProductionInputs, replayed_once
from kdgov.declarations.release_parts.stages import Staged, last_stage_is_the_recipe
from kdgov.license.vocabulary import Distribution

ModelName = Annotated[str, StringConstraints(min_length=1, max_length=250, pattern=r"^[^/:%\"'<>\x00-\x1f]+$")]


class TeacherDeclaration(Declared):
    """The model to learn from: a folder or a hub id, pinned; or an endpoint that shows nothing but its answers."""

    model: str = ""
    """Path of a transformers checkpoint, or a hub id; empty where an ``endpoint`` is all there is."""
    endpoint: Endpoint | None = None
    """Where a teacher without weights at hand is asked; `teacher_text` terms ask there unless they say otherwise."""
    revision: str | None = None
    """Commit of the hub id; a folder is pinned by its content."""
    card: str | None = None
    """Model card file (`registry/models/*.yaml`): licence, lineage, digest."""
    root: str | None = None
    """The first teacher of a chain of distillations, compared with as well, so that small losses cannot add up."""

    @property
    def called(self) -> str:
        """Its name for people: the model's, or the one the endpoint knows it by."""
        return self.model or (self.endpoint.model if self.endpoint is not None else "")

    @model_validator(mode="after")
    def _is_one_of_both(self) -> TeacherDeclaration:
        if bool(self.model) == (self.endpoint is not None):
            raise ValueError(
                "needs exactly one of model and endpoint\n"
                "Write `model:` for weights at hand, or `endpoint:` for a teacher that can only be asked."
            )
        return self


class StudentDeclaration(Declared):
    """The model to be released; exactly one of ``keep_layers``, ``config``, ``model``, ``endpoint`` says where it starts."""

    model: str | None = None
    """A checkpoint folder or hub id: the student itself (no distillation) or the weights it starts from."""
    revision: str | None = None
    """Commit of the hub id."""
    keep_layers: KeptLayers | None = None
    """Teacher layers the student starts from, counted from 0, as DistilBERT did; ``{encoder: …, decoder: …}`` chooses each side apart."""
    prune: Prune | None = None
    """Of those layers, which parts are kept: ``keep_layers: all`` and ``prune: {layers: 4, inner: 512}``."""
    config: str | None = None
    """A transformers ``config.json`` to build a freshly initialised student from."""
    endpoint: Endpoint | None = None
    """Where a student is asked that was trained elsewhere and has no weights at hand."""
    adapter: dict[str, Any] | None = None
    """PEFT LoRA options (``r``, ``lora_alpha``, ``target_modules``, …) put on ``model``."""
    quantization: Literal["int8_dynamic", "int8_weight_only", "int4_weight_only"] | None = None
    """After training: the quantised variant that is evaluated and gated as the student."""
    name: str | None = None
    """Name of the released model as users will see it; default the release's name."""
    license: str | None = None
    """Outbound licence as an SPDX expression or LicenseRef."""
    license_text: str | None = None
    """File holding the outbound licence's text."""
    kind: str = "generative"
    """generative, foundational_generative, classifier, encoder, …: licence rules depend on it."""
    similar_to_teacher: bool | None = None
    """Whether the student aims to perform similarly to the teacher (Gemma and RAIL terms turn on it)."""
    card: str | None = None
    """Model card file of the student, where it has one."""

    @model_validator(mode="after")
    def _has_one_start(self) -> StudentDeclaration:
        starts = [key for key in ("keep_layers", "config", "model", "endpoint") if getattr(self, key) is not None]
        if len(starts) != 1:
            named = " and ".join(starts) or "none of them"
            raise ValueError(
                f"needs exactly one of keep_layers, config, model, endpoint, and has {named}\nKeep one: it says where the student starts."
            )
        refuse_mismatch(self.prune, self.keep_layers)
        if self.adapter is not None and self.model is None:
            raise ValueError("has an adapter but no `model` to put it on\nAdd `model:` with the base the adapter is trained on.")
        return self


class DataDeclaration(HubData):
    """One body of distillation data: a card that pins files and digests, bare text files, or a data set of the Hub."""

    card: str | None = None
    """Dataset card file (`registry/datasets/*.yaml`); beside ``hub`` it says what the Hub's own card leaves open."""
    path: str | None = None
    """A text or JSON-lines file without a card; the checks will say what is then unknown."""
    weight: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    """Factor of the weight of each of its examples in the loss, beside a line's own ``weight``: 0.25 lets them count a quarter."""
    columns: Columns = Field(default_factory=dict)
    """Key of a line as it is read (``prompt``, ``completion``, ``messages``, ``label`` …) → column of the files; dots lead into objects and
    lists (``answers.text.0``), ``null`` leaves a key out."""

    @model_validator(mode="after")
    def _has_one(self) -> DataDeclaration:
        # A card beside `hub:` says what the Hub's own leaves open.
        if (self.path is not None) + (self.hub is not None or self.card is not None) != 1:
            raise ValueError(
                "needs exactly one of card and path, or hub\n"
                "Write `card:` for a described dataset, `path:` for a bare file, or `hub: owner/name` with `revision:`."
            )
        return self


class ReleaseIntent(Declared):
    """What will be done with the student: licence conditions depend on it."""

    distribution: Distribution = "internal"
    """Who gets what: nobody outside, an interface, the weights, or data the student writes."""
    commercial: bool = True
    """Whether the use is commercial."""
    research: bool = False
    """Whether it is for research only."""


class Release(Staged):
    """One release declaration with every default filled in."""

    schema_: Literal["kdgov.release/1"] = Field(alias="schema")
    """Must be ``kdgov.release/1``."""
    name: ModelName
    """The registered model's name."""
    description: str = ""
    """One paragraph: what the student is and whom it is for."""
    teacher: TeacherDeclaration
    """The model learned from."""
    student: StudentDeclaration
    """The model to be released."""
    data: list[DataDeclaration] = Field(default_factory=list)
    """Distillation data."""
    distillation: Distillation | None = None
    """How the student is trained; absent: it was trained elsewhere."""
    evaluation: EvaluationSettings = Field(default_factory=EvaluationSettings)
    """How both models are asked."""
    suites: list[str] = Field(default_factory=lambda: ["capability", "safety", "bias", "privacy"])
    """Suite names (shipped) or folders; may be empty where there are ``production_inputs``, which are a suite of their own."""
    allowed_hosts: list[HostName] = Field(default_factory=list)
    """Hosts that judges of its suites may ask, such as ``api.acme.com`` or ``10.0.0.7:8000``; addresses in this file count anyway."""
    judge_labels: list[str] = Field(default_factory=list)
    """Files of people's labels of answers, as `kdgov judge label` writes them: they check the suites' judges and correct their error."""
    mitigations: list[Mitigation] = Field(default_factory=list)
    """What keeps teacher and student from doing harm, and which criterion shows that it still works on the student."""
    policy: str = "policies/default.yaml"
    """Policy file."""
    release: ReleaseIntent = Field(default_factory=ReleaseIntent)
    """Intended use."""
    organization: Organization = Field(default_factory=Organization)
    """Who releases."""
    uses: list[dict[str, Any]] = Field(default_factory=list)
    """Further upstream uses, as in a licence case (``use``, ``license``, ``name``, ``made_by`` …)."""
    evidence: list[dict[str, Any]] = Field(default_factory=list)
    """What meets licence obligations or lifts a deny."""
    production_inputs: ProductionInputs | None = Field(default=None, validate_default=True)
    """The user's own logged inputs."""
    capabilities: list[str] = Field(default_factory=list)
    """Tags of capabilities the student is distilled for, such as ``medical`` or ``code``."""
    price: Price | None = None
    """Declared prices, for the cost line of the card."""
    accountable: Accountable = Field(default_factory=Accountable)
    """Roles that answer for the release."""
    trade_offs: str = ""
    """One paragraph for product and policy partners."""
    threads: int = Field(default=0, ge=0)
    """Torch threads; 0 leaves one per physical core unless OMP_NUM_THREADS says otherwise."""

    @model_validator(mode="before")
    @classmethod
    def _asks_its_teacher(cls, value: Any) -> Any:
        return licences_of_further_teachers(terms_ask_the_teacher(last_stage_is_the_recipe(replayed_once(value))))

    @field_validator("production_inputs")
    @classmethod
    def _asks_something(cls, value: ProductionInputs | None, known: ValidationInfo) -> ProductionInputs | None:
        # Of one field, so that it is told together with what is wrong elsewhere in the file.
        if value is None and known.data.get("suites") == []:
            raise ValueError("is not there, and `suites:` names none\nName a suite under `suites:`, or logged inputs here.")
        return value

    @property
    def recipes(self) -> list[Distillation]:
        """The release's own recipe, and that of each stage before it."""
        own = [] if self.distillation is None else [self.distillation]
        return [*own, *(stage.distillation for stage in self.stages)]

    @model_validator(mode="after")
    def _needs_no_weights_of_an_endpoint(self) -> Release:
        if self.teacher.endpoint is None or self.distillation is None:
            return self
        if closed := self.distillation.needs_weights:
            raise ValueError(
                f"learns from {', '.join(closed)} of a teacher that is an endpoint: its logits and layers are not to be had\n"
                "Use teacher_text (and hard_labels), or name the teacher's weights under `teacher.model`."
            )
        if self.student.model is None:
            raise ValueError(
                "has a student without weights or tokenizer of its own, and a teacher that is an endpoint\n"
                "Name the checkpoint the student starts from under `student.model`."
            )
        return self

    @model_validator(mode="after")
    def _asks_endpoints_as_they_are(self) -> Release:
        for role, endpoint in (("teacher", self.teacher.endpoint), ("student", self.student.endpoint)):
            own = getattr(self.evaluation, role)
            idle = [key for key in ("backend", "endpoint", "device", "dtype", "devices", "batch_tokens") if getattr(own, key) is not None]
            if endpoint is not None and idle:
                raise ValueError(f"sets evaluation.{role}.{idle[0]}, and the {role} is an endpoint that decides that itself\nRemove it.")
        return self

    @model_validator(mode="after")
    def _has_data_to_learn_from(self) -> Release:
        if self.stages and (self.distillation is None or self.teacher.endpoint is not None):
            raise ValueError("has stages, which need weights to learn from, and a recipe for the last\nName `teacher.model`; add a stage.")
        if self.distillation is not None and not self.data:
            raise ValueError("has a distillation but no data\nAdd `data:` with at least one card or file to distil on.")
        if self.student.endpoint is not None and (self.distillation is not None or self.student.quantization is not None):
            raise ValueError(
                "trains or quantises a student that is an endpoint\n"
                "Remove `distillation:` and `quantization:`, or name the checkpoint it starts from under `student.model`."
            )
        if self.distillation is None and self.student.model is None and self.student.endpoint is None:
            raise ValueError(
                "has no distillation, and the student is not a finished model\n"
                "Add `distillation:`, or name the trained student under `student.model`."
            )
        return self
