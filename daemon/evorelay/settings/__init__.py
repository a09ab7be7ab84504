"""From text to ``Config``: the parts ``config_load.py`` is made of. Imports config and model."""
