"""The HTTP service: deployed bundles behind one endpoint. Loads no training stack and no MLflow."""
