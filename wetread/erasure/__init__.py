"""Everything of one patient or study: found, erased, and what stays."""
