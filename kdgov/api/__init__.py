"""The Python interface: one typed function per step and per question; each is also a name of `kdgov` itself.

A function does what the command of its name does, through the same code. It raises `kdgov.errors.InputError` where the command
would exit with 2 and `kdgov.errors.UnavailableError` where it would exit with 3; a refusal is an answer, not an error. Heavy
libraries (torch, transformers, mlflow) are imported by the functions that need them, when they are called.
"""
