"""Two tokenizers on the same text: spans that both end alike, and what their vocabularies share."""
