"""Bills of materials of a recorded version: CycloneDX, SPDX and the in-toto statement of the run."""
