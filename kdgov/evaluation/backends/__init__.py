"""How a model is asked: in process, through lm-eval's HFLM, at an endpoint, over several processes; every answer is logged."""
