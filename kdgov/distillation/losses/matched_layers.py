"""The terms that match what happens inside: which layers they pair, what a pass must bring for them, and their sums."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from kdgov.checkpoints.layer_choice import ONLY
from kdgov.declarations.distillation import Attention, AttentionRelation, HiddenStates
from kdgov.distillation.losses import layer_losses as layers
from kdgov.distillation.losses.forward import Passed, Wanted
from kdgov.distillation.starts.kept_stacks import model_depths
from kdgov.errors import InputError

FeatureTerm = HiddenStates | Attention | AttentionRelation
FEATURES = (HiddenStates, Attention, AttentionRelation)
_LAYER_DROPS = ("layerdrop", "encoder_layerdrop", "decoder_layerdrop")


class MatchedLayers:
    """The terms of a recipe that compare layers, with the projections that bridge their widths.

    Args:
        terms: those terms.
        teacher: the teacher; None where there is none, which no such term allows.
        student: the student.
        is_causal: whether a position of a model of one stack sees earlier ones only; a decoder beside an encoder does.
    """

    def __init__(self, terms: Sequence[FeatureTerm], teacher: Any | None, student: Any, *, is_causal: bool) -> None:
        self._terms = list(terms)
        self._is_causal = is_causal or (bool(terms) and ONLY not in model_depths(student))
        self._pairs = [_pairs_of(term, teacher, student) for term in terms]
        self.projections = nn.ModuleDict()
        if self._terms:
            switch_off_layer_drop(student)

    @property
    def names(self) -> list[str]:
        """A name for each term: its kind, numbered from the second of a kind on."""
        kinds = [term.kind for term in self._terms]
        return [f"{kind}_{kinds[:place].count(kind) + 1}" if kind in kinds[:place] else kind for place, kind in enumerate(kinds)]

    @property
    def asks_hidden_states(self) -> bool:
        """Whether hidden states are matched."""
        return any(isinstance(term, HiddenStates) for term in self._terms)

    def wanted(self, *, student: bool) -> Wanted:
        """What a pass of the student (or of the teacher) must bring."""
        relations = {
            (term.side, pair[1 if student else 0])
            for term, pairs in zip(self._terms, self._pairs, strict=True)
            if isinstance(term, AttentionRelation)
            for pair in pairs
        }
        return Wanted(
            hidden_states=self.asks_hidden_states,
            attentions=any(isinstance(term, Attention) for term in self._terms),
            relations=tuple(sorted(relations)),
        )

    def add_projections(self, mine: Passed, theirs: Passed) -> None:
        """Make a learned projection wherever matched layers differ in width.

        Args:
            mine: a pass of the student, with hidden states.
            theirs: of the teacher.
        """
        for place, (term, pairs) in enumerate(zip(self._terms, self._pairs, strict=True)):
            if not isinstance(term, HiddenStates):
                continue
            own, taught = (layers.widths(_shown(passed.hidden_states, term)) for passed in (mine, theirs))
            for theirs_at, mine_at in pairs:
                if own[mine_at] != taught[theirs_at]:
                    self.projections[f"{place}_{mine_at}"] = nn.Linear(own[mine_at], taught[theirs_at], bias=False)

    def sum_of(self, place: int, mine: Passed, theirs: Passed | None, batch: Mapping[str, Any]) -> Tensor:
        """Weighted sum of one term over a batch, without its factor.

        Args:
            place: number of the term.
            mine: the student's pass.
            theirs: the teacher's.
            batch: whose weights and lengths count.
        """
        term = self._terms[place]
        if theirs is None:
            raise TypeError("a teacher's layers are needed")
        weights = batch["weights"].flatten(1).sum(1) if batch["weights"].dim() > 1 else batch["weights"]
        values = [self._distance(place, term, pair, mine, theirs, batch) for pair in self._pairs[place]]
        return torch.dot(torch.stack(values).mean(0).float(), weights)

    def _distance(
        self, place: int, term: FeatureTerm, pair: tuple[int, int], mine: Passed, theirs: Passed, batch: Mapping[str, Any]
    ) -> Tensor:
        theirs_at, mine_at = pair
        if isinstance(term, HiddenStates):
            student = layers.as_positions(_shown(mine.hidden_states, term)[mine_at])
            teacher = layers.as_positions(_shown(theirs.hidden_states, term)[theirs_at])
            name = f"{place}_{mine_at}"
            student = self.projections[name](student) if name in self.projections else student
            return layers.hidden_distance(student, teacher, _attended(batch, student, term.side), distance=term.distance)
        if isinstance(term, Attention):
            maps = _shown(mine.attentions, term)[mine_at]
            return layers.attention_distance(maps, _shown(theirs.attentions, term)[theirs_at], _attended(batch, maps[:, 0], term.side))
        distances = []
        for kind in term.relations:
            vectors, taught = mine.relations[term.side, mine_at, kind], theirs.relations[term.side, theirs_at, kind]
            real, is_causal = _attended(batch, vectors, term.side), self._is_causal and term.side == "decoder"
            distances.append(layers.relation_distance(vectors, taught, real, heads=term.relation_heads, is_causal=is_causal))
        return torch.stack(distances).mean(0)


def _shown(by_side: Mapping[str, tuple[Tensor, ...]], term: HiddenStates | Attention) -> tuple[Tensor, ...]:
    if term.side in by_side:
        return by_side[term.side]
    raise InputError(f"{term.kind}: a model shows none of its {term.side}", where="distillation.terms", mend="Remove the term.")


def switch_off_layer_drop(model: Any) -> None:
    """Leave no layer out at random (LayerDrop: Wav2Vec2, HuBERT, Whisper, BART …): a layer that was left out has no output to match."""
    for module in model.modules():
        for holder in (module, getattr(module, "config", None)):
            for name in _LAYER_DROPS:
                if isinstance(getattr(holder, name, None), float):
                    setattr(holder, name, 0.0)


def _pairs_of(term: FeatureTerm, teacher: Any | None, student: Any) -> list[tuple[int, int]]:
    if teacher is None:
        raise InputError(f"{term.kind} needs a teacher whose weights are at hand", where="distillation.terms", mend="Remove it.")
    depths = [model_depths(model) for model in (teacher, student)]
    side = getattr(term, "side", "decoder")
    if side != "decoder" and any(ONLY in one for one in depths):
        raise InputError(
            f"{term.kind}: `side: {side}` is for models of an encoder and a decoder", where="distillation.terms", mend="Remove `side:`."
        )
    counts = [one[ONLY] if ONLY in one else one["encoder" if side == "encoder" else "decoder"] for one in depths]
    return layers.layer_pairs(term.layers, teacher=counts[0], student=counts[1], where=f"distillation.terms: {term.kind}.layers")


def _attended(batch: Mapping[str, Any], state: Tensor, side: str = "decoder") -> Tensor:
    """(batch, positions) 1 where a position is real: all of them where the inputs have no length (images)."""
    if side == "encoder":
        return _read(batch["inputs"].get("attention_mask"), state)
    positions = torch.arange(state.shape[1], device=state.device)
    if "lengths" not in batch:
        return torch.ones(state.shape[:2], device=state.device)
    return (positions < batch["lengths"][:, None]).float()


def _read(mask: Tensor | None, state: Tensor) -> Tensor:
    """Positions of an encoder that hold something; one that hears turns many samples into one position, and Whisper masks none."""
    if mask is None:
        return torch.ones(state.shape[:2], device=state.device)
    places = torch.arange(state.shape[1], device=mask.device) * mask.shape[1] // state.shape[1]
    return mask[:, places].float()
