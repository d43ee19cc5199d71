"""One module per step of a release: check → distill → evaluate → gate → record → promote, and audit at any later time.

Each step reads and writes folders named by digest (`pipeline.finished_work.store`), runs alone, resumes after a kill and reuses what an
unchanged input has already produced.
"""
