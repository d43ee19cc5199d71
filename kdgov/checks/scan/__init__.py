"""One pass over the training data: shards as streams of texts, n-grams, contamination by suite items."""
