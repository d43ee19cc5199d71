"""A reader of files `*.scores`: one item per line, `task item score`."""

from kdgov.items.reader import Reader, Reading


def claims(source):
    return "scores" if source.path.suffix == ".scores" else ""


def read(scores, beside):
    lines = [line.split() for source in scores for line in source.path.read_text().splitlines()]
    return Reading(rows=[{"suite": "lines", "task": t, "item_id": i, "metric": "acc", "score": float(s)} for t, i, s in lines])


READER = Reader(name="score-lines", tool="score lines", seen="1", claims=claims, read=read)
