"""The compliance review: everything a registry says of a release, done again and compared.

`snapshot` holds what a registry said, `fetch` asks it (the only module here that imports MLflow), `review` does the release
again and answers in `words`, `document` puts the answer into one JSON document, and `page`, `summary` and `bom` render it.
"""
