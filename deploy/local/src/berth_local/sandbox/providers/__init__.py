"""Mail providers, played: under their own host names, in their own words, as the table of diagnoses has them."""
