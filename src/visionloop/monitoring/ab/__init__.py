"""Two models that share the traffic, compared by what people say of their answers."""
