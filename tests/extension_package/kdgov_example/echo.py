"""A kind of task: whether a model's greedy answer repeats the item's text."""

from kdgov.evaluation.plan.request import Request
from kdgov.evaluation.scoring.scores import ItemScore
from kdgov.evaluation.task_kinds.base import Kind, field_of, generation_of


def requests(doc, declared, where):
    return (Request(kind="generate", context=str(field_of(doc, "text", where)), generation=generation_of(declared)),)


def scores(items, answers, declared, teacher):
    return [
        ItemScore(item_id=item.item_id, metric="echoed", score=float(str(answers[item.item_id][0]).strip() == item.doc["text"]))
        for item in items
    ]


KIND = Kind(metrics=("echoed",), requests=requests, scores=scores)
