"""A judge that calls an answer long or short by its words."""


def make(judge, suite_file, classify):
    most = int(judge.options["most_words"])
    return lambda pairs: ["long" if len(answer.split()) > most else "short" for _, answer in pairs]
