"""The frozen plan both models answer: suites, tasks and items, each named by digest before a model loads."""
