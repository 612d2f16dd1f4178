"""The claims: what the sheet of interview questions says, and the verdict that the evidence gives on each."""
