"""Networks in plain torch: encoder, heads, and the models made of them."""
