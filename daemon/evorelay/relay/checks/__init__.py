"""The checks of health, one file per part of the daemon. Pure: vitals in, checks out."""
