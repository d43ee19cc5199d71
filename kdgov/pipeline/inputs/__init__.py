"""What comes into the steps: cards, data, models and results, found and identified before anything is done with them."""
