"""The embedded drivers: journal and store on SQLite through apsw."""
