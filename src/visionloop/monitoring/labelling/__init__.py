"""Which answered images are worth a person's look, and what the labels they get say of all traffic."""
