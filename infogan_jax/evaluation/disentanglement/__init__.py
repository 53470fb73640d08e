"""How far codes follow the true factors of variation, one factor each: a published measure per file."""
