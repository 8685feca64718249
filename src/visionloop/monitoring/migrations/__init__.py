"""Schema of the prediction store, version by version; `store.PredictionStore.open` applies them."""
