"""What computes probabilities: the network in PyTorch, compiled by OpenVINO, or on a GPU; and its known answer."""
