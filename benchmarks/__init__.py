"""Scripts that time ssmrl, and the tables that they wrote; see README.md in this folder."""
