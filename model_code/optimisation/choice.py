"""Decides which form is to answer, from what held and how fast it is, and says why in a sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from model_code.backends.backend import Form

# How much faster a form must be than one that is trusted more; below that there is nothing to win.
WORTH = 1.1


def choose(speeds: Mapping[Form, float], problems: Mapping[Form, Sequence[str]]) -> tuple[Form, str]:
    """Return the form and the reason.

    ``speeds``: images per second of torch and of every form that held; ``problems``: of the forms that did not hold,
    why not.
    """
    chosen = Form.TORCH
    sentences: list[str] = []
    for form in Form:
        if form in problems:
            sentences.append(f"{form} does not hold: {'; '.join(problems[form])}.")
        elif form in speeds and form is not Form.TORCH:
            gain = speeds[form] / speeds[chosen]
            better = gain >= WORTH
            sentences.append(
                f"{form} holds and is {gain:.2f} x as fast as {chosen}{'' if better else ': not worth it'}."
            )
            chosen = form if better else chosen
    return chosen, " ".join(sentences)
