"""Models to and from other programs: ONNX, a model hub, fastai."""
