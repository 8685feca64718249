from tests.serving.conftest import service, settings  # noqa: F401
