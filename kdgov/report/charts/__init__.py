"""Pictures of a release as self-contained SVG: one drawing kit, one module per kind of picture."""
