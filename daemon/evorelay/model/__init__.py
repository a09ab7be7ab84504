"""The words of EvoRelay: frozen msgspec Structs and tables. Imports nothing of ours."""
