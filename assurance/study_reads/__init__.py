"""How well a study is read by its slices: by the simple rule, a fitted one, and by rules that are not offered."""
