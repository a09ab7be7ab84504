"""A simulated Evolution API: emits realistic webhooks, takes sends, misbehaves on request.

Pure, from the inside out: ``media``, ``cast``, ``scripts`` (who says what), ``baileys``,
``channels`` (in whose words), ``dialects``, ``station``, ``conversations``, ``scenario`` (when),
``emission`` (in what disorder), ``retry`` (how often). With IO: ``http``, ``delivery``, ``rest``,
``run``. It imports nothing of the relay but the model's errors.
"""
