"""Whether a model abstains on what it has not been trained on, and answers what it has."""
