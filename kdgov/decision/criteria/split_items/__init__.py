"""Items of one metric in two parts, compared: seen and unseen ones, items like the data and unlike it."""
