"""From ``result.json`` files to the paper's tables and figures; no number lives only here."""
