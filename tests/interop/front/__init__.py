"""Front ends as teams have them: pages on an origin of their own, and what is around them."""
