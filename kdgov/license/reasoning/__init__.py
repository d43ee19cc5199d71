"""From a case to an answer: conditions, obligations, rulings, separate licences."""
