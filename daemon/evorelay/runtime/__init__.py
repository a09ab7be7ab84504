"""Running services under supervision. No word of relaying in here."""
