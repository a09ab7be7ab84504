"""A simulated Evolution API: emits realistic webhooks, takes sends, misbehaves on request.

Pure, from the inside out: ``media``, ``cast``, ``acts`` and ``scripts`` (who says and does what),
``dialects`` (in whose words), ``aftermath`` (what becomes of a message), ``station``,
``conversations``, ``scenario`` (when), ``emission`` (in what disorder), ``retry`` (how often).
For tests ``day``: a day or a month of webhooks with the ``truth`` that must be left of it, written
by a ``diary`` per instance from ``mornings``, ``stories`` (whose names change how) and a ``book``.
``archive`` and ``misbehaviour``: what a database finds, and which call goes wrong.
With IO: ``http`` and ``delivery`` (webhooks out), ``sender`` and ``connections`` (what is done on
request), ``rest`` (the API), ``controls`` (how tests hold it), ``world`` (all of it), ``run``. It
imports nothing of the relay but the model's errors.
"""
