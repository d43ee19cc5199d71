"""What a run would do and take, said before it begins: a dry run, what it needs of the machine, and a short trial."""
