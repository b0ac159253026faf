"""The artifact's script: the four functions that SageMaker's PyTorch containers and this project's image call.

Their source differs. On AWS's PyTorch inference toolkit they are the copy packed beside this file, which that toolkit
puts on PYTHONPATH. In this project's image they are the image's own model_code, already imported when this file is
loaded: its decoders and pins were tested together, and a fix there reaches every model without retraining.
The known answer in metadata.json makes the difference safe: a model with another answer does not start.

For your own model, replace this file and keep the four names.
"""

from model_code.inference import input_fn, model_fn, output_fn, predict_fn

__all__ = ["input_fn", "model_fn", "output_fn", "predict_fn"]
