"""Says what may not be in the name of a class: characters that a screen, a log or an index reads as something else.

These are control characters (C0, DEL, C1), separators of lines and paragraphs, and format characters, among them those
that turn the direction of the text around them. The two joiners without a width are letters' parts in many scripts.
"""

from __future__ import annotations

import unicodedata

REFUSED = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})  # Unicode's categories
JOINERS = "\u200c\u200d"


def refused_in(name: str) -> str:
    """Return the first character that a class may not have, as ``U+001F``; "" if there is none."""
    odd = (one for one in name if unicodedata.category(one) in REFUSED and one not in JOINERS)
    return next((f"U+{ord(one):04X}" for one in odd), "")
