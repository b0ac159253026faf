"""Evidence for the promises: fault injection, fuzzing, least privilege, simulation, and the worst bill."""
