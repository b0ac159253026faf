"""The function *express*: reads one small batch in the image's own code, as a transform job would."""
